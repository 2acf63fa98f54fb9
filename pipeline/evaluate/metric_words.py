"""Metrics and gains in words, without any number being computed."""

from __future__ import annotations

from tallystick.pipeline.config.settings import RANKINGS, SelectionRule

METRIC_WORDS = {
    "log_loss": "log-loss",
    "brier": "Brier score",
    "squared_error": "squared error",
    "absolute_error": "absolute error",
    "roc_auc": "AUC",
    "average_precision": "average precision",
    "pinball": "pinball loss",
    "poisson_deviance": "Poisson deviance",
    "cost": "cost",
}


def metric_detail(rule: SelectionRule) -> str:
    """What must be said beside a metric's name: the unit of a cost, the quantile."""
    if rule.costs is not None:
        return f"{rule.costs.currency} a row"
    return "" if rule.quantile is None else f"{rule.quantile * 100:g}% quantile"


def metric_name(rule: SelectionRule) -> str:
    """``cost (EUR a row)``."""
    detail = metric_detail(rule)
    return f"{METRIC_WORDS[rule.metric]}{f' ({detail})' if detail else ''}"


def metric_meaning(rule: SelectionRule) -> str:
    """What a metric rewards, for somebody who has to agree to it."""
    if rule.costs is not None:
        costs = rule.costs
        right = [
            f"a right {name} {value:g}" for name, value in (("yes", costs.right_yes), ("no", costs.right_no)) if value
        ]
        answers = [f"a false alarm costs {costs.false_alarm:g}", f"a missed yes {costs.missed:g}", *right]
        return (
            f"mean cost of a row in {costs.currency}: {', '.join(answers)}; from which probability on a row counts as "
            "yes is chosen in each window on training rows alone"
        )
    if rule.quantile is not None:
        return (
            f"mean loss of a row, in the unit of the target, where each unit too little counts {rule.quantile:g} and "
            f"each unit too much {1 - rule.quantile:g}: what is predicted is the {rule.quantile * 100:g}% quantile"
        )
    return MEANINGS[rule.metric]


MEANINGS = {
    "log_loss": "how surprised the probabilities are by what happened; a sure mistake costs most",
    "brier": "mean square of probability less what happened, 1 or 0",
    "roc_auc": "how often a random yes gets a higher probability than a random no; the probabilities may be off, only "
    "their order counts",
    "average_precision": "share of yes among the rows with the highest probabilities, averaged over all cuts; only the "
    "order counts, and above all that of the first rows",
    "squared_error": "mean square of the error, in the square of the target's unit; large errors count most",
    "absolute_error": "mean size of the error, in the unit of the target",
    "poisson_deviance": "how badly counts fit the predicted mean; an error counts more where few events are predicted",
}


def signed_gain(value: float, metric: str) -> str:
    """A gain with its sign: ``+2.4%``, of a ranking ``+2.4 points``, each of which is 0.01."""
    return f"{value * 100:+.1f} points" if metric in RANKINGS else f"{value:+.1%}"
