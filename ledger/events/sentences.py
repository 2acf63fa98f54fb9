"""One sentence for every event, the same in every place where events are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tallystick.ledger.errors import Damaged
from tallystick.ledger.events import types as say
from tallystick.ledger.events.commit import decode_head, from_micros
from tallystick.ledger.events.entry import Erased, Unreadable
from tallystick.ledger.events.event import Event


def sentence(event: Event[Any]) -> str:
    """What an event says, in one line. Text from the ledger is *not* made safe for a terminal here."""
    if isinstance(event.body, Erased | Unreadable):
        return event.body.words(event.t)
    if not say.is_known(event):
        return f"{event.t} version {event.v}, which this program does not know"
    tell = _SENTENCES.get(event.t)
    return tell(event.body) if tell else event.t


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 window``, ``2 windows``, ``14,182 rows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def erasure_words(seq: int | str, event_type: str, authority: str, reason: str) -> str:
    """What an erasure says of the event at ``seq``."""
    return f"the content of event #{seq} ({event_type}) was erased, {authority}: “{reason}”"


def commit_range(first: int, last: int) -> str:
    """``c3`` or ``c3 to c5``."""
    return f"c{first}" if first == last else f"c{first} to c{last}"


def _created(body: say.LedgerCreated) -> str:
    clock = " with a replayed clock" if body.clock == "replayed" else ""
    return f"the ledger {body.origin} begins{clock}; dates are read in {body.timezone}"


def _declared(body: say.SchemaDeclared) -> str:
    return f"declared what {body.name} says"


def _artifact(body: say.ArtifactStored) -> str:
    return f"stored {body.role} {body.artifact[:12]}… ({body.size_bytes:,} bytes)"


def _environment(body: say.EnvironmentCaptured) -> str:
    return f"environment {body.environment}: Python {body.python}, {count(len(body.packages), 'package')}"


def _registered(body: say.PipelineRegistered) -> str:
    return f"registered pipeline {body.pipeline} of {body.owner}: meaning {body.meaning_hash[:12]}"


def _started(body: say.RunStarted) -> str:
    plan = f"{count(len(body.windows), 'window')} × {count(len(body.candidates), 'candidate')}"
    return f"run {body.run} of {body.pipeline} started: {plan}"


def _slice(body: say.SliceTaken) -> str:
    again = f", the same as in run {body.same_as}" if body.same_as else ""
    dropped = body.rows - body.kept_rows
    return f"run {body.run} took slice {body.slice}: {count(body.kept_rows, 'row')}, {dropped:,} dropped{again}"


def _window(body: say.WindowDescribed) -> str:
    partial = "" if body.complete else "; partial, it does not count for selection"
    return (
        f"run {body.run} opened window {body.label}: {body.train_rows:,} rows to train, "
        f"{body.test_rows:,} to test{partial}"
    )


def _evaluated(body: say.WindowEvaluated) -> str:
    numbers = ", ".join(
        f"{name} {metric.value:.4f}" if metric.value is not None else f"{name} unknown"
        for name, metric in body.metrics.items()
    )
    return f"{body.candidate} in {body.label}: {numbers}"


def _optimism(body: say.OptimismMeasured) -> str:
    return body.sentence


def _declared_candidate(body: say.CandidateDeclared) -> str:
    match body.kind:
        case "code":
            modules = body.source.get("modules")
            names = ", ".join(sorted(modules)) if isinstance(modules, dict) else "?"
            return f"candidate {body.candidate} of run {body.run} is {body.estimator}, made of {names} as stored"
        case "trial":
            return f"candidate {body.candidate} of run {body.run} is an unfitted copy of the model of {body.estimator}"
        case "onnx":
            until, missing = body.source.get("trained_until"), body.source.get("not_judged")
            end = f"{from_micros(until):%Y-%m-%d %H:%M} UTC" if isinstance(until, int) else "?"
            labels = ", ".join(map(str, missing)) if isinstance(missing, list) else ""
            named = f"candidate {body.candidate} of run {body.run} is {body.estimator}"
            return f"{named}, trained elsewhere until {end}" + (f"; not judged in {labels}" if labels else "")
    return (
        f"candidate {body.candidate} of run {body.run} was computed elsewhere, as declared by "
        f"{body.source.get('declared_by')}: {body.source.get('source')}"
    )


def _tried(body: say.CandidateTried) -> str:
    return body.sentence


def _refitted(body: say.CandidateRefitted) -> str:
    if isinstance(body, say.CandidateDelivered):
        return (
            f"run {body.run} made model {body.model}: {body.candidate}, computed elsewhere, as declared by "
            f"{body.declared_by}; {count(body.rows, 'prediction')}, file {body.artifact[:12]}…"
        )
    if str(body.recipe.get("estimator")).startswith("onnx:"):
        return (
            f"run {body.run} made model {body.model}: {body.candidate}, imported from {body.recipe['estimator']} and "
            f"fitted elsewhere, file {body.artifact[:12]}…"
        )
    return (
        f"run {body.run} made model {body.model}: {body.candidate} fitted on {count(body.rows, 'row')}, "
        f"file {body.artifact[:12]}…"
    )


def _decided(body: say.DecisionTaken) -> str:
    return f"decision {body.decision}: {body.headline}"


def _finished(body: say.RunFinished) -> str:
    same = f", the same as run {body.same_result_as}" if body.same_result_as else ""
    differs = f", which differs from run {body.differs_from}" if body.differs_from else ""
    return f"run {body.run} finished with result {body.result_hash[:12]}{same}{differs}"


def _failed(body: say.RunFailed) -> str:
    return f"run {body.run} failed while {body.stage}: {body.message}"


def _promoted(body: say.ModelPromoted) -> str:
    instead = f" instead of {body.previous}" if body.previous else ""
    beside = "" if body.decision else " (no run chose it)"
    return f"promoted {body.model} to champion of {body.pipeline}{instead}{beside}: “{body.reason}”"


def _approved(body: say.DecisionApproved) -> str:
    what = f"decision {body.decision}" if body.decision else f"event {body.event[:12]}…"
    return f"{body.approver} approved {what} with their own key"


def _rotated(body: say.KeyRotated) -> str:
    both = "signed by both" if body.signed_by_old else "the old key could not sign any more"
    stolen = f"; the old key was not safe from size {body.compromised_from} on" if body.compromised_from else ""
    return f"the log's key {body.old} was replaced by {body.new}, {both}{stolen}: “{body.reason}”"


def _adopted(body: say.ForkAdopted) -> str:
    old, new = (key.partition("+")[0] for key in (body.old_key, body.new_key))
    return f"this ledger left the history of {old} that was seen elsewhere, and is {new} from here on: “{body.reason}”"


def _anchored(body: say.AnchorRecorded) -> str:
    how = "is kept in" if body.kind == "kept" else "was cosigned by"
    return f"the receipt of the first {count(body.size, 'commit')} {how} {body.where}"


def _corrected(body: say.EventCorrected) -> str:
    return f"event #{body.correction} ({body.type}) does not count any more: “{body.reason}”"


def _redacted(body: say.EventRedacted | say.EventRedactedV1) -> str:
    return erasure_words(body.redaction, body.type, body.authority, body.reason)


def _sealed(body: say.SegmentSealed) -> str:
    return f"sealed {commit_range(body.first, body.last)} in {body.segment}.jsonl ({body.size_bytes:,} bytes)"


def _checked(body: say.LeakageChecked) -> str:
    bad = [check for check in body.checks if check.result != "pass"]
    told = "; ".join(check.sentence for check in bad) if bad else f"all {count(len(body.checks), 'check')} passed"
    if isinstance(body, say.LeakageJudged):
        waiting = sum(not question.answers for question in body.questions)
        return f"leakage checks of run {body.run}: {body.result}, {count(waiting, 'question')} open: {told}"
    return f"leakage checks of run {body.run}: {body.result}: {told}"


def _answered(body: say.QuestionAnswered) -> str:
    second = f", and {body.second} agrees" if body.second else ""
    return f"{body.by} says why {body.subject} of run {body.run} is known in time{second}: “{body.why}”"


def _experiment(body: say.ExperimentDeclared) -> str:
    return f"run {body.run} is an experiment, nothing of it can be promoted: “{body.reason}”"


def _crossed(body: say.ExperimentCrossed) -> str:
    return f"run {body.run} does experiment {body.experiment} again for production: “{body.reason}”"


def _proposed(body: say.CandidateProposed) -> str:
    rule = f"the rule chose {body.chosen}" if body.chosen else "the rule chose nobody"
    return f"put {body.model} ({body.candidate}) forward, where {rule}: “{body.reason}”"


def _gate(body: say.GateEvaluated) -> str:
    loosened = f"; loosened after the result was seen: {', '.join(body.loosened)}" if body.loosened else ""
    return f"gate {body.name} of {body.model} {_VERDICTS[body.verdict]}: {body.sentence}{loosened}"


_VERDICTS = {"passed": "passed", "failed": "failed", "open": "is still open"}


def _waived(body: say.WaiverGranted) -> str:
    again = f" ({_ordinal(body.renewal)} renewal)" if body.renewal else ""
    return (
        f"gate {body.name} of {body.model} is waived until {body.until:%Y-%m-%d %H:%M} UTC{again}, answered for by "
        f"{body.owner}, approved by {body.approver}: “{body.reason}”"
    )


def _ordinal(number: int) -> str:
    words = ("", "first", "second", "third")
    return words[number] if number < len(words) else f"{number}th"


def _waiver_ended(body: say.WaiverEnded) -> str:
    return f"waiver {body.waiver} was taken back: “{body.reason}”"


def _promotion(body: say.PromotionDecided) -> str:
    return f"decision {body.decision}: {body.headline}"


def _retired(body: say.ModelRetired) -> str:
    return f"retired {body.model}; {body.pipeline} has no champion: “{body.reason}”"


def _looked(body: say.FinalLooked) -> str:
    return f"look {body.number} of {body.budget} at the sealed windows {', '.join(body.windows)}, for {body.model}"


def _final(body: say.FinalEvaluated) -> str:
    return body.sentence


def _reproduced(body: say.RunReproduced) -> str:
    return f"run {body.run} was done again: {body.verdict}: {body.sentence}"


def _automation(body: say.AutomationChanged) -> str:
    return f"automation of {body.pipeline} went from {body.before} to {body.level}: “{body.reason}”"


def _predicted(body: say.PredictionMade) -> str:
    return f"{body.model} predicted {count(body.rows, 'row')} of {body.source} into {body.output}"


def _not_predicted(body: say.PredictionRefused) -> str:
    return f"{body.model} refused to predict {body.source}: {body.sentence}"


def _monitored(body: say.PeriodMonitored) -> str:
    return f"watched {body.model} in {body.label}: {body.headline}"


def _finding(body: say.FindingMade) -> str:
    return body.sentence


def _trial_started(body: say.TrialStarted) -> str:
    return f"trial {body.trial} began with {count(len(body.params), 'parameter')}"


def _trial_measured(body: say.TrialMeasured) -> str:
    names = list(dict.fromkeys(name for point in body.points for name in (*point.values, *point.not_finite)))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"trial {body.trial} measured {', '.join(names[:5])}{more} {count(len(body.points), 'time')}"


def _trial_stored(body: say.TrialStored) -> str:
    return f"trial {body.trial} stored {body.name} ({body.size_bytes:,} bytes)"


def _trial_modelled(body: say.TrialModelled) -> str:
    return f"trial {body.trial} stored its model {body.name} ({body.estimator}), which no pipeline has judged"


def _trial_finished(body: say.TrialFinished) -> str:
    late = f"; {count(body.late_records, 'record')} came late" if body.late_records else ""
    error = f": {body.error}" if body.error else ""
    return f"trial {body.trial} {body.status} after {body.seconds:,.1f} s{error}{late}"


def _trial_begun(body: say.TrialBegun) -> str:
    group = f" in experiment {body.experiment}" if body.experiment else ""
    part = f" as a part of {body.parent}" if body.parent else ""
    return f"trial {body.trial} ({body.name}) began{group}{part}, with {count(len(body.params), 'parameter')}"


def _trial_noted(body: say.TrialNoted) -> str:
    parts = [f"{count(len(body.params), 'parameter')} ({_some(body.params)})"] if body.params else []
    parts += [f"tag {name} = {_short(value)}" for name, value in list(body.tags.items())[:3]]
    parts += [f"{len(body.tags) - 3} more tags"] if len(body.tags) > 3 else []
    parts += [f"tag {name} removed" for name in body.removed_tags]
    parts += [f"“{_short(body.note)}”"] if body.note else []
    return f"trial {body.trial} noted {', '.join(parts) or 'nothing'}"


def _trial_linked(body: say.TrialLinked) -> str:
    parts = [f"read {_some(table.name for table in body.inputs)}"] if body.inputs else []
    parts += [f"read {_some(body.models_read)}"] if body.models_read else []
    parts += [f"made {_some(output.model for output in body.outputs)}"] if body.outputs else []
    return f"trial {body.trial} {' and '.join(parts) or 'linked nothing'}"


_ENDS = {
    "scheduled": "is scheduled",
    "running": "goes on",
    "finished": "finished",
    "failed": "failed",
    "interrupted": "was interrupted",
    "terminated": "was told to end, and ended",
    "vanished": "ended without a word",
}


def _trial_changed(body: say.TrialChanged) -> str:
    parts = [_ENDS[body.status]] if body.status else []
    parts += [f"is now called {body.name}"] if body.name else []
    parts += _removal(body.removed)
    error = f": {body.error}" if body.error else ""
    late = f"; {count(body.late_records, 'record')} came late" if body.late_records else ""
    return f"trial {body.trial} {' and '.join(parts) or 'was changed'}{error}{late}"


def _trial_series(body: say.TrialSeries) -> str:
    names = list(dict.fromkeys(series.key for series in body.series))
    points = sum(len(series.values) for series in body.series)
    return f"trial {body.trial} measured {_some(names)}: {count(points, 'number')}"


def _experiment_created(body: say.ExperimentCreated) -> str:
    return f"experiment {body.name or body.experiment} was created"


def _experiment_changed(body: say.ExperimentChanged) -> str:
    return f"experiment {body.experiment} {_changes(body.name, body.tags, body.removed_tags, body.removed)}"


def _logged_created(body: say.LoggedCreated) -> str:
    made = f" by trial {body.trial}" if body.trial else ""
    return f"model {body.name} ({body.logged}) was kept{made}"


def _logged_changed(body: say.LoggedChanged) -> str:
    state = [f"is {body.status.lower()}"] if body.status else []
    return f"kept model {body.logged} {_changes(None, body.tags, body.removed_tags, body.removed, state)}"


def _registered_created(body: say.RegisteredCreated) -> str:
    return f"model {body.name or body.registered} was registered"


def _registered_changed(body: say.RegisteredChanged) -> str:
    described = ["was described"] if body.description is not None else []
    words = _changes(body.name, body.tags, body.removed_tags, body.removed, described)
    return f"registered model {body.registered} {words}"


def _version_created(body: say.VersionCreated) -> str:
    source = f" from trial {body.trial}" if body.trial else f" from {body.source}" if body.source else ""
    return f"version {body.number} of {body.registered} was registered{source}"


def _version_changed(body: say.VersionChanged) -> str:
    state = [f"is in stage {body.stage}"] if body.stage else []
    state += [f"is {body.status.lower()}"] if body.status else []
    state += ["was described"] if body.description is not None else []
    return f"version {body.version} {_changes(None, body.tags, body.removed_tags, body.removed, state)}"


def _alias_moved(body: say.AliasMoved) -> str:
    reason = f": “{body.reason}”" if body.reason else ", no reason given"
    if body.observed:
        return f"alias {body.alias} was seen to point to {body.version}; since when and by whom is unknown"
    if body.version is None:
        return f"alias {body.alias} was taken from {body.previous or 'nothing'}{reason}"
    before = f" from {body.previous}" if body.previous else ""
    return f"alias {body.alias} was moved{before} to {body.version}{reason}"


def _file_filed(body: say.FileFiled) -> str:
    owner = f"kept model {body.logged}" if body.logged else f"trial {body.trial}"
    if body.removed:
        return f"{owner} removed its file {body.path}"
    if body.artifact is None:
        return f"{owner} has a file {body.path} whose content is not here"
    return f"{owner} keeps {body.path} ({body.size_bytes or 0:,} bytes)"


def _changes(
    name: str | None, tags: dict[str, str], removed_tags: list[str], removed: bool | None, first: Iterable[str] = ()
) -> str:
    parts = [*first]
    parts += [f"is now called {name}"] if name else []
    parts += [f"has the tag {tag} = {_short(value)}" for tag, value in tags.items()]
    parts += [f"lost the tag {tag}" for tag in removed_tags]
    parts += _removal(removed)
    return " and ".join(parts) or "was changed"


def _removal(removed: bool | None) -> list[str]:
    return [] if removed is None else ["was removed" if removed else "was restored"]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def _history(body: say.HistoryImported) -> str:
    what = (
        f"imports {commit_range(body.first, body.size - 1)} of {body.history}"
        if body.size > body.first
        else (f"vouches for the {count(body.size, 'commit')} that were imported of {body.history}")
    )
    under = f", its names read under {body.named_under}/" if body.named_under else ""
    return f"{what}{under}: {vouched_words(body)}"


def vouched_words(body: say.HistoryImported) -> str:
    """Who says that an imported history is that ledger's: ``proven by …``, or ``UNPROVEN …``."""
    key = (body.key or "").split("+")
    match body.vouched:
        case "receipt":
            size = (body.receipt or "").partition("@")[2].partition(" ")[0]
            return f"proven by a receipt that was kept of its first {size} commits"
        case "key":
            return f"proven by its key {key[1] if len(key) > 2 else '?'}, which was given"
        case "pin":
            since = f"{body.relied_since:%Y-%m-%d}" if body.relied_since else "?"
            return (
                f"proven by its key {key[1] if len(key) > 2 else '?'}, on which the importer has relied since {since}"
            )
        case "import":
            return "proven by what had been imported of it before"
    return "UNPROVEN, nothing but that ledger itself says that this is its history"


def _commit(body: say.CommitImported) -> str:
    proven = "" if body.proven else " (UNPROVEN when it was imported)"
    try:
        head = decode_head(body.head)
        recorded = f", recorded {head.recorded_at:%Y-%m-%d %H:%M:%S} UTC on {head.host}"
    except Damaged:
        recorded = ""
    left = f"; {count(len(body.left_out), 'event')} about that ledger itself left out" if body.left_out else ""
    return f"is c{body.n} of {body.history}{proven}{recorded}{left}"


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "ledger.created": _created,
    "schema.declared": _declared,
    "artifact.stored": _artifact,
    "environment.captured": _environment,
    "pipeline.registered": _registered,
    "run.started": _started,
    "slice.taken": _slice,
    "window.described": _window,
    "window.evaluated": _evaluated,
    "optimism.measured": _optimism,
    "candidate.declared": _declared_candidate,
    "candidate.tried": _tried,
    "candidate.refitted": _refitted,
    "decision.taken": _decided,
    "run.finished": _finished,
    "run.failed": _failed,
    "model.promoted": _promoted,
    "decision.approved": _approved,
    "key.rotated": _rotated,
    "fork.adopted": _adopted,
    "anchor.recorded": _anchored,
    "event.corrected": _corrected,
    "event.redacted": _redacted,
    "segment.sealed": _sealed,
    "history.imported": _history,
    "commit.imported": _commit,
    "leakage.checked": _checked,
    "question.answered": _answered,
    "experiment.declared": _experiment,
    "experiment.crossed": _crossed,
    "candidate.proposed": _proposed,
    "gate.evaluated": _gate,
    "waiver.granted": _waived,
    "waiver.ended": _waiver_ended,
    "promotion.decided": _promotion,
    "model.retired": _retired,
    "final.looked": _looked,
    "final.evaluated": _final,
    "run.reproduced": _reproduced,
    "automation.changed": _automation,
    "prediction.made": _predicted,
    "prediction.refused": _not_predicted,
    "period.monitored": _monitored,
    "finding.made": _finding,
    "trial.started": _trial_started,
    "trial.measured": _trial_measured,
    "trial.stored": _trial_stored,
    "trial.modelled": _trial_modelled,
    "trial.finished": _trial_finished,
    "experiment.created": _experiment_created,
    "experiment.changed": _experiment_changed,
    "trial.begun": _trial_begun,
    "trial.noted": _trial_noted,
    "trial.linked": _trial_linked,
    "trial.changed": _trial_changed,
    "trial.series": _trial_series,
    "logged.created": _logged_created,
    "logged.changed": _logged_changed,
    "registered.created": _registered_created,
    "registered.changed": _registered_changed,
    "version.created": _version_created,
    "version.changed": _version_changed,
    "alias.moved": _alias_moved,
    "file.filed": _file_filed,
}
