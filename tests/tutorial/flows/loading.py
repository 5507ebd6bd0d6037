"""Serve a flow whose parameters are models, enums and dates. Argument: the deployment's name."""

import datetime as dt
import enum
import sys

import witness  # noqa: F401
from prefect import flow, get_run_logger
from pydantic import BaseModel, Field


class Region(enum.Enum):
    """Where rows come from."""

    NORTH = "north"
    SOUTH = "south"


class Window(BaseModel):
    """Which days."""

    first: dt.date
    days: int = Field(7, ge=1, le=90)


@flow(name="loading")
def loading(window: Window, region: Region = Region.NORTH, labels: list[str] | None = None):
    get_run_logger().info("%s days from %s in %s", window.days, window.first, region.value)


if __name__ == "__main__":
    loading.serve(name=sys.argv[1], tags=["etl"])
