"""Which runs of a suite were detected elsewhere, from what lies in the folder of results."""

from __future__ import annotations

from dataclasses import replace

from sobench.errors import RequestError
from sobench.runs.gathered import Results, run_folders
from sobench.runs.search import settings_of
from sobench.suite.external import EXTERNAL, ExternalRun, external_run
from sobench.suite.overrides import Request
from sobench.suite.plan import Run


def external_runs(request: Request, results: Results, data: str = "") -> list[ExternalRun]:
    """The external runs of a suite on the images that are asked for, by label and seed.

    Raises:
        RequestError: one has the label of a row that the suite has got since.
    """
    found: dict[str, ExternalRun] = {}
    for path in run_folders(results, request.suite.name, EXTERNAL):
        content = settings_of(path)
        try:
            run = external_run(request, str(content["label"]), int(content["seed"]), data)
        except (KeyError, ValueError):
            continue
        except RequestError as error:
            raise RequestError(f"{path}: {error}, or delete this folder") from None
        # On other images it is another result.
        if run.settings_id == content.get("settings_id"):
            found[run.settings_id] = run
    return sorted(found.values(), key=lambda run: (run.entry.label, run.seed))


def with_external(request: Request, results: Results, data: str = "") -> list[Run]:
    """The runs of a request, and the external runs beside them.

    ``request.methods`` may name external rows by their labels, or all of them by ``external``.

    Raises:
        RequestError: as ``plan``; or an external run has the label of a row of the suite.
    """
    external = external_runs(request, results, data)
    labels = {run.entry.label for run in external} | ({EXTERNAL} if external else set())
    methods = tuple(name for name in request.methods if name not in labels)
    is_external_alone = bool(request.methods) and not methods
    own = [] if is_external_alone else replace(request, methods=methods).runs(data)
    shown = [run for run in external if _is_asked_for(run, request)]
    return [*own, *shown]


def _is_asked_for(run: ExternalRun, request: Request) -> bool:
    names = request.methods or (EXTERNAL,)
    has_seed = not request.seeds or run.seed in request.seeds
    return has_seed and (EXTERNAL in names or run.entry.label in names)
