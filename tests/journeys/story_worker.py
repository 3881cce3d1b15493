"""The Celery application of `workers.app` on the story's clock: `celery -A tests.journeys.story_worker worker`."""

from __future__ import annotations

from functools import partial

from marketplace.settings import Settings
from seeds.clock import FollowingClock
from workers import app as worker
from workers.instance import open_worker

worker.open_worker = partial(open_worker, clock=FollowingClock(Settings().data_folder / "story-clock"))
app = worker.app
