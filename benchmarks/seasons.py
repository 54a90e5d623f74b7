"""Detectors on the test pairs of several seasons together, for narrower intervals than one season gives.

Every season has models, levels and thresholds of its own. Scores are normalised per date and so comparable;
what depends on a threshold is counted from each season's own one. Clusters are massif, date and season.

    python -m benchmarks.seasons first.toml second.toml --truth first/truth second/truth
"""

import argparse
from pathlib import Path

import numpy as np

from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.detectors.against_truth import Value, read_deposits, truth_of_pairs
from avalanche_assets.detectors.evaluation import normalised_pairs
from avalanche_assets.detectors.metrics import RIVAL, LabelledScores, Measured, over_trainings
from avalanche_assets.detectors.scored import ScoredLabels
from avalanche_assets.settings import load_settings
from avalanche_assets.tables import THRESHOLDS, read_table

PAPER = "vae"
SEASON_STEP = 10**9
"""Cluster numbers of one season lie below it."""

Measures = tuple[Measured, Measured]


def main() -> None:
    """Prints a table against the labels and one against the true deposits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("settings", nargs="+", type=Path, help="settings files of evaluated deployments")
    parser.add_argument("--truth", nargs="+", type=Path, help="mapped deposits of each", required=True)
    parser.add_argument("--window", default="new", choices=("new", "recent"))
    arguments = parser.parse_args()
    seasons = [_Season(file, truth, arguments.window) for file, truth in
               zip(arguments.settings, arguments.truth, strict=True)]  # fmt: skip
    for title, truth in (("labels", False), ("true visible deposits", True)):
        _print(title, _pooled(seasons, truth))


class _Season:
    """The test pairs of one deployment."""

    def __init__(self, file: Path, truth: Path, window: str) -> None:
        settings = load_settings(file)
        layout = settings.layout
        self.pairs: ScoredLabels = normalised_pairs(layout, "test")
        self.labels = self.pairs.states[window]
        self.thresholds = {
            (row["detector"], row["operating_point"]): row["threshold"]
            for row in read_table(layout.thresholds, THRESHOLDS).to_pylist()
            if row["label_window"] == window
        }
        catalogue = read_catalogue(layout.acquisition_catalogue, settings.season.max_gap_days)
        deposits = truth_of_pairs(read_deposits(truth), layout, catalogue, self.pairs)
        self.truth = np.full(len(self.pairs), "negative", object)
        # Where only invisible deposits fell an alarm is neither right nor wrong.
        self.truth[deposits["row"]] = "outside"
        self.truth[deposits.loc[deposits["visible"], "row"]] = "positive"


def _pooled(seasons: list[_Season], truth: bool) -> dict[str, dict[str, Measures]]:
    """Measures of every detector that all seasons have: by scores, and at two operating points."""
    common = set.intersection(*(set(season.pairs.scores) for season in seasons))
    clusters = np.concatenate(
        [season.pairs.clusters + number * SEASON_STEP for number, season in enumerate(seasons)]
    )
    states = np.concatenate([season.truth if truth else season.labels for season in seasons])
    chosen = np.isin(states, ("positive", "negative"))
    names, codes = np.unique(clusters[chosen], return_inverse=True)
    result = {}
    for detector in sorted(common):
        scores = np.concatenate([season.pairs.scores[detector] for season in seasons])
        result[detector] = {"": _measures(scores, 0.0, states, chosen, codes, len(names))}
        for point in ("balanced", "budget"):
            cuts = [season.thresholds.get((detector, point)) for season in seasons]
            if None not in cuts:
                above = np.concatenate(
                    [season.pairs.scores[detector] - cut for season, cut in zip(seasons, cuts, strict=True)]
                )
                result[detector][point] = _measures(above, 0.0, states, chosen, codes, len(names))
    return result


def _measures(
    scores: np.ndarray, cut: float, states: np.ndarray, chosen: np.ndarray, codes: np.ndarray, count: int
) -> Measures:
    known = np.isfinite(scores[chosen])
    of = LabelledScores(scores[chosen][known], states[chosen][known] == "positive", codes[known], cut)
    return over_trainings([of], count)


def _print(title: str, found: dict[str, dict[str, Measures]]) -> None:
    print(f"\nAgainst the {title}:\n")
    columns = "detector", "balanced accuracy at `balanced`", "at `budget`", f"over `{PAPER}`"
    columns += "average precision", f"over `{PAPER}`", f"over `{RIVAL}`"
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    order = sorted(found, key=lambda name: -found[name][""][0]["average_precision"][0])
    for name in order:
        cells = [
            _cell(found, name, "balanced", "balanced_accuracy"),
            _cell(found, name, "budget", "balanced_accuracy"),
            _cell(found, name, "balanced", "balanced_accuracy", PAPER),
            _cell(found, name, "", "average_precision"),
            _cell(found, name, "", "average_precision", PAPER),
            _cell(found, name, "", "average_precision", RIVAL),
        ]
        print(f"| `{name}` | " + " | ".join(cells) + " |")


def _cell(
    found: dict[str, dict[str, Measures]], name: str, point: str, measure: str, rival: str | None = None
) -> str:
    """A measure, or how far it lies above that of a rival pair by pair, with its interval."""
    if point not in found[name] or name == rival or (rival and point not in found.get(rival, {})):
        return "—"
    exact, replicates = (part[measure] for part in found[name][point])
    if rival:
        its = found[rival][point]
        exact, replicates = exact - its[0][measure], replicates - its[1][measure]
    value, sign = Value.of(float(exact[0]), replicates), "+" if rival else ""
    if value.value is None or value.low is None or value.high is None:
        return "—"
    return f"{value.value:{sign}.2f} [{value.low:{sign}.2f}, {value.high:{sign}.2f}]"


if __name__ == "__main__":
    main()
