"""Writes cities/*.csv from places.csv: `python project.py [FOLDER]`. Standard library only.

Each list becomes a flat map of its own: kilometres east and north of the middle of its cities (equirectangular).
"""

import csv
import math
import sys
from pathlib import Path

HERE = Path(__file__).parent
KM_PER_DEGREE = 6371.0 * math.pi / 180
Place = tuple[str, float, float]
"""Name, latitude and longitude in degrees."""


def read_places(path: Path) -> dict[str, list[Place]]:
    lists: dict[str, list[Place]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = row["name"], float(row["latitude"]), float(row["longitude"])
            lists.setdefault(row["list"], []).append(place)
    return lists


def project(places: list[Place]) -> str:
    """The list as CSV `name,x,y`; 0.1 km is far coarser than what differs between mathematical libraries."""
    latitude = sum(place[1] for place in places) / len(places)
    longitude = sum(place[2] for place in places) / len(places)
    east = KM_PER_DEGREE * math.cos(math.radians(latitude))
    lines = [
        f"{name},{(place_longitude - longitude) * east:.1f},{(place_latitude - latitude) * KM_PER_DEGREE:.1f}\n"
        for name, place_latitude, place_longitude in places
    ]
    return "".join(["name,x,y\n", *lines])


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, places in read_places(HERE / "places.csv").items():
        (folder / f"{name}.csv").write_text(project(places), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "cities")
