"""Questions about runs in MLflow's tracking store over the ledger: curves, searches, tables."""

from __future__ import annotations

from typing import Any

from mlflow.entities import Metric, Run
from mlflow.entities.metric import MetricWithRunId
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.search_utils import SearchUtils

from tallystick.ledger.exchange import mlflow_entities as show
from tallystick.ledger.exchange.mlflow_errors import fail, in_mlflows_words
from tallystick.ledger.exchange.mlflow_experiments import SEARCH_MOST, is_shown
from tallystick.ledger.exchange.mlflow_runs import RunStore
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.ledger.query.trials import CurvePoint


def _metric(run_id: str, key: str, point: CurvePoint) -> Metric:
    return Metric(
        key=key,
        value=show.shown_number(point.value),
        timestamp=point.at_ms,
        step=point.step or 0,
        model_id=point.model,
        dataset_name=point.dataset,
        dataset_digest=point.dataset_digest,
        run_id=run_id,
    )


@in_mlflows_words
class SearchStore(RunStore):
    """What MLflow asks about runs."""

    _last_curve: tuple[tuple[str, str] | None, int, list[CurvePoint]] = (None, -1, [])

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList:
        """Every number of a metric."""
        points = self._curve(self._session.trial_name(run_id), metric_key)
        page, token = points, None
        if max_results is not None or page_token is not None:
            page, token = SearchUtils.paginate(points, page_token, max_results or SEARCH_MOST)
        return PagedList([_metric(run_id, metric_key, point) for point in page], token)

    def _curve(self, trial: str, metric: str) -> list[CurvePoint]:
        """Every number of a metric by its time, kept for the pages that are asked for one after another."""

        def read(now: Snapshot) -> list[CurvePoint]:
            about, position, kept = self._last_curve
            if about == (trial, metric) and position == now.as_of.seq:
                return kept
            points = now.curve(trial, metric) if metric in now.curve_names(trial) else []
            # A client says a number again when it learns of which model it was measured: the later one counts.
            found = list({point[:3]: point for point in points}.values())
            found.sort(key=lambda point: (point.at_ms, point.step or 0))
            self._last_curve = ((trial, metric), now.as_of.seq, found)
            return found

        return self._session.ask(read)

    def get_metric_history_bulk_interval_from_steps(
        self, run_id: str, metric_key: str, steps: list[int], max_results: int
    ) -> list[MetricWithRunId]:
        """The numbers of a metric at some steps."""
        wanted = set(steps)
        found = [metric for metric in self.get_metric_history(run_id, metric_key) if metric.step in wanted]
        found.sort(key=lambda metric: (metric.step, metric.timestamp))
        return [MetricWithRunId(run_id=run_id, metric=metric) for metric in found[:max_results]]

    def _search_runs(
        self,
        experiment_ids: list[str],
        filter_string: str | None,
        run_view_type: int,
        max_results: int,
        order_by: list[str] | None,
        page_token: str | None,
    ) -> tuple[list[Run], str | None]:
        if max_results > SEARCH_MOST:
            fail(f"Invalid value for request parameter max_results. It must be at most {SEARCH_MOST}, "
                 f"but got value {max_results}")  # fmt: skip
        wanted = set(experiment_ids)
        runs = [
            run
            for run in self._all_runs()
            if run.info.experiment_id in wanted and is_shown(run.info.lifecycle_stage, run_view_type, None)
        ]
        found = SearchUtils.sort(SearchUtils.filter(runs, filter_string), order_by)
        page, token = SearchUtils.paginate(found, page_token, max_results)
        return page, token

    def _all_runs(self) -> list[Run]:
        """Every run; those that nothing happened to since the last question are not made again."""
        self._session.flush()

        def made(book: Ledger) -> list[Run]:
            now = self._snapshot(book)
            changed = now.trials_changed_since(self._runs_upto) if self._runs_upto < now.as_of.seq else set()
            for trial in now.trials(removed=True):
                if changed is None or trial.trial not in self._runs or trial.trial in changed:
                    self._runs[trial.trial] = show.run_of(now, trial, self._session, book.objects)
            self._runs_upto = now.as_of.seq
            return list(self._runs.values())

        return self._session.do(made)

    def _search_datasets(self, experiment_ids: list[str]) -> list[Any]:
        from mlflow.entities import _DatasetSummary

        wanted = set(experiment_ids)
        found = {}
        for run in self._all_runs():
            if run.info.experiment_id in wanted:
                for table in run.inputs.dataset_inputs:
                    context = next((tag.value for tag in table.tags if tag.key == "mlflow.data.context"), None)
                    key = (run.info.experiment_id, table.dataset.name, table.dataset.digest, context)
                    found[key] = _DatasetSummary(experiment_id=key[0], name=key[1], digest=key[2], context=context)
        return list(found.values())[:1000]
