"""Reading 100,000 events in the official layout of 82 columns, by ours and by plain pandas: the same file."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from avalanche_assets.inventory.events import read_events
from avalanche_assets.simulation.inventory_files import EPA_COLUMNS
from benchmarks.scene import Scene

EVENTS, COLUMNS, COMMUNES, SITES = 100_000, 82, 300, 13


def events(scene: Scene) -> Callable[[], int]:
    """Ours: intervals in UTC, ids, measures, every row checked."""
    path = _table(scene)
    known = {
        f"{38000 + commune:05d}{site:03d}" for commune in range(COMMUNES) for site in range(1, SITES + 1)
    }
    return lambda: len(read_events(path, known)[0])


def events_pandas(scene: Scene) -> Callable[[], int]:
    """The peer reads the columns, and nothing else."""
    path = _table(scene)
    return lambda: len(pd.read_csv(path))


def _table(scene: Scene) -> Path:
    path = scene.corridors.with_name("events.csv")
    if not path.exists():
        random = np.random.default_rng(5)
        fillers = [f"Remarque {i}" for i in range(COLUMNS - len(EPA_COLUMNS))]
        days = pd.to_datetime(random.integers(-9000, 17_500, EVENTS), unit="D").strftime(" %d/%m/%Y")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*EPA_COLUMNS, *fillers])
            writer.writerows(_row(number, day, len(fillers)) for number, day in enumerate(days))
    # Reading it also brings it into the page cache.
    path.read_bytes()
    return path


def _row(number: int, day: str, fillers: int) -> list[str]:
    known = {
        "id_evt": str(number),
        "Date 1": day,
        "Date 2": day,
        "Altitude de départ 1": str(1500 + 50 * (number % 30)),
        "Altitude d'arrivée 1": str(1000 + 50 * (number % 20)),
        "Longueur": str(10 * (number % 40)),
        "Largeur": str(5 * (number % 20)),
        "Numéro du site": str(1 + number % SITES),
        "Nom du site": "Le Ravin",
        "INSEE de la commune": str(38000 + number % COMMUNES),
    }
    return [known.get(name, "") for name in EPA_COLUMNS] + ["observé"] * fillers
