"""The scores of one set of detections, as scoring returns and records store them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Scores(BaseModel):
    """Metrics of stored detections under one protocol.

    Values are fractions in 0..1, ``None`` where there is no ground truth.

    Attributes:
        protocol: its name.
        protocol_version: version of the protocol by which these numbers were computed.
        engine: name and version, such as ``hotcoco 1.3.0``; ``sobench`` where the protocol is not
            of COCO's family.
        metrics: by name, in the order of ``metrics.table.score_metrics``.
        per_class: class name -> the metrics of ``metrics.table.class_metrics``, of COCO's family
            ``AP``, ``AP50``, ``AP75``, ``AR`` at the last limit of detections; and
            ``ground_truth``, the number of boxes that count.
        curves: class name, or ``all`` for the mean over classes with ground truth -> ``0.50``,
            ``0.75`` and ``mean`` (over the ten IoU thresholds) -> precision at the 101 recalls
            0, .01, ..., 1, for all areas at the last limit. Of VOC, ``0.50`` alone.
        images: which ones were looked at, with the hash of their ids; empty for all.
    """

    model_config = ConfigDict(frozen=True)

    protocol: str
    protocol_version: int
    engine: str
    metrics: dict[str, float | None]
    per_class: dict[str, dict[str, float | None]]
    curves: dict[str, dict[str, list[float | None]]]
    images: str = ""

    @property
    def name(self) -> str:
        """Protocol, its version, and the engine without its version, such as ``coco v1 hotcoco``.

        A record keeps one set of scores by each name.
        """
        return f"{self.protocol} v{self.protocol_version} {self.engine.partition(' ')[0]}"
