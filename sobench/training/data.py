"""The images that a detector trains on, and how they become batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from sobench.data.batches import training_batches
from sobench.data.dataset import Dataset, Images
from sobench.data.resident import Resident, can_reside, fits, reside
from sobench.data.targets import Batch
from sobench.models.detector import Stage
from sobench.models.parts.whole_batch import present_share
from sobench.suite.input import Augment, Input
from sobench.training.processes import greatest


@dataclass(frozen=True)
class TrainingData:
    """Training images and all that decides which batches are made of them.

    Attributes:
        images: ``[h, w, 3]`` uint8 each, resized as ``input`` says.
        images_2x: ``[h, w, 3]`` uint8 each, at twice the size, if a stage of the detector asks for
            them.
        workers: loader processes.
        device: if it is a GPU, it keeps all images in its memory from the first batch on, where
            there is room and they are but flipped. The batches are the same.
    """

    dataset: Dataset
    images: Images
    input: Input
    augment: Augment
    images_2x: Images | None = None
    workers: int = 0
    device: torch.device | None = None

    def batches(
        self, stage: Stage, batch_size: int, seed: int, epoch: int, start: int, epochs: int = 1
    ) -> Iterator[Batch]:
        """The batches of ``epochs`` epochs from ``epoch`` on, and in that from step ``start`` on.

        Epochs are counted from 0 over all stages.
        """
        images_2x = self.images_2x if stage.images_2x else None
        share = present_share()
        return training_batches(
            self.dataset, self.images, self.input, self.augment, batch_size, seed, epoch,
            start=start, workers=self.workers, images_2x=images_2x, epochs=epochs,
            rows=share.rows if share else slice(None), agree=greatest if share else None,
            resident=self._resident,
        )  # fmt: skip

    @property
    def resident_bytes(self) -> int:
        """Bytes of the images that the device keeps by now."""
        resident = vars(self).get("_resident")
        return resident.nbytes if resident else 0

    @cached_property
    def _resident(self) -> Resident | None:
        if self.device is None or self.device.type != "cuda":
            return None
        with_2x = self.images_2x is not None
        if not can_reside(self.input, self.augment) or not fits(
            len(self.images), self.input, with_2x, self.device
        ):
            return None
        return reside(self.dataset, self.images, self.images_2x, self.input, self.device)
