"""Simulated detectors of known quality on simulated data, as what was matched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sobench.metrics.matches import Matches
from sobench.suite.protocols import PROTOCOLS, Protocol

FloatArray = NDArray[np.float64]
THRESHOLDS = np.arange(0.5, 1.0, 0.05)


@dataclass(frozen=True)
class World:
    """What is drawn, and how much it varies. Qualities are in units of the logit of being found.

    Attributes:
        images: of the split.
        objects: of an image, on average.
        false: detections of an image that meet no object, on average.
        image_noise: how much images differ in difficulty, the same for all methods.
        taste: how much methods differ in what they find difficult, image by image.
        seed_noise: how much the quality of a method varies from training to training.
        protocol: by which detections are matched.
    """

    images: int = 120
    objects: float = 8.0
    false: float = 12.0
    classes: int = 2
    image_noise: float = 0.7
    taste: float = 0.4
    seed_noise: float = 0.0
    protocol: Protocol = PROTOCOLS["coco"]


@dataclass(frozen=True)
class Scenes:
    """Drawn objects ``[G]``: their image, class, area and difficulty; difficulty of images."""

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    area: FloatArray
    ease: FloatArray
    image_ease: FloatArray


def draw_scenes(world: World, random: np.random.Generator) -> Scenes:
    """Images with a Poisson number of objects, two in three of them below 32 px."""
    image_ease = random.normal(0, world.image_noise, world.images)
    # Crowded images exist: the number varies more than Poisson's.
    rates = world.objects * random.gamma(2.0, 0.5, world.images)
    image = np.repeat(np.arange(world.images), random.poisson(rates))
    area = np.exp(random.normal(np.log(24.0), 0.6, len(image))) ** 2
    label = random.choice(world.classes, len(image), p=_shares(world.classes))
    ease = random.normal(0, 1, len(image)) + 0.6 * np.log(area / 24.0**2)
    return Scenes(image, label, area, ease, image_ease)


def draw_taste(world: World, random: np.random.Generator) -> FloatArray:
    """What a method makes of each image ``[N]``, in all its trainings."""
    return random.normal(0, world.taste, world.images)


def draw_training(
    world: World, scenes: Scenes, taste: FloatArray, quality: float, random: np.random.Generator
) -> Matches:
    """The detections of one training of a method of this quality, already matched."""
    quality = quality + random.normal(0, world.seed_noise)
    of_image = scenes.image_ease + taste
    # Objects that are found, with how well they are located and how sure the method is.
    logit = quality + of_image[scenes.image] + scenes.ease + random.normal(0, 1, len(scenes.image))
    found = np.flatnonzero(random.random(len(logit)) < _sigmoid(logit + 1))
    place = _sigmoid(0.5 * logit[found] + random.normal(0.3, 0.8, len(found)))
    overlap = 0.35 + 0.65 * place
    sure = _sigmoid(0.7 * logit[found] + random.normal(0.5, 0.8, len(found)))
    # False ones, more of them where an image is difficult.
    number = random.poisson(world.false * np.exp(-0.3 * of_image - 0.2 * quality))
    false_image = np.repeat(np.arange(world.images), number)
    false_label = random.choice(world.classes, len(false_image), p=_shares(world.classes))
    false_area = np.exp(random.normal(np.log(24.0), 0.7, len(false_image))) ** 2
    false_sure = _sigmoid(random.normal(-1.2, 1.0, len(false_image)))
    return _matches(
        world,
        scenes,
        image=np.concatenate([scenes.image[found], false_image]),
        label=np.concatenate([scenes.label[found], false_label]),
        score=np.concatenate([sure, false_sure]),
        area=np.concatenate([scenes.area[found], false_area]),
        overlap=np.concatenate([overlap, np.zeros(len(false_image))]),
        target=np.concatenate([found, np.full(len(false_image), -1)]),
    )


def _matches(
    world: World,
    scenes: Scenes,
    *,
    image: NDArray[np.int64],
    label: NDArray[np.int64],
    score: FloatArray,
    area: FloatArray,
    overlap: FloatArray,
    target: NDArray[np.int64],
) -> Matches:
    """Detections ``[D]`` in the order of ``Matches``, with what they are in each range of areas."""
    order = np.lexsort((-score, label))
    image, label, score, area = image[order], label[order], score[order], area[order]
    overlap, target = overlap[order], target[order]
    hit = overlap >= THRESHOLDS[:, None] - 1e-9  # [T, D]
    outcome = np.empty((1 + len(world.protocol.bins), *hit.shape), np.int8)
    num_objects = np.empty((len(outcome), world.images, world.classes), np.int32)
    object_of = np.where(target >= 0, target, 0)
    for index, (low, high) in enumerate(((0.0, np.inf), *world.protocol.bins.values())):
        within = (scenes.area >= low) & (scenes.area <= high)
        # A hit counts by its object, any other detection by its own area.
        counts = np.where(hit, within[object_of], (area >= low) & (area <= high))
        outcome[index] = np.where(counts, hit.astype(np.int8), -1)
        num_objects[index] = 0
        np.add.at(num_objects[index], (scenes.image[within], scenes.label[within]), 1)
    return Matches(
        protocol=world.protocol.name,
        protocol_version=world.protocol.version,
        detections="",
        image_ids=np.arange(world.images),
        classes=tuple(f"class {number}" for number in range(world.classes)),
        image=image.astype(np.int32),
        label=label.astype(np.int32),
        score=score,
        rank=_ranks(image, label),
        outcome=outcome,
        num_objects=num_objects,
        found=np.where(hit[0], target, -1).astype(np.int32),
        object_image=scenes.image.astype(np.int32),
        object_label=scenes.label.astype(np.int32),
        object_area=scenes.area,
    )


def _ranks(image: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int32]:
    """The place of each detection among those of its image and class, which are in order."""
    order = np.lexsort((image, label))
    keys = np.stack([label[order], image[order]])
    starts = np.flatnonzero(np.r_[True, (np.diff(keys, axis=1) != 0).any(axis=0)])
    ranks = np.empty(len(order), np.int32)
    lengths = np.diff(np.r_[starts, len(order)])
    ranks[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return ranks


def _shares(classes: int) -> FloatArray:
    """How frequent classes are: each half as frequent as the one before."""
    shares = 0.5 ** np.arange(classes, dtype=np.float64)
    return np.asarray(shares / shares.sum())


def _sigmoid(logit: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logit)))
