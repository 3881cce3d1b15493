"""The Celery application of `workers.app` on the story's clock: `celery -A tests.journeys.story_worker worker`."""

from __future__ import annotations

from marketplace.main import build_runtime
from marketplace.settings import Settings
from seeds.clock import FollowingClock
from workers import app as worker

settings = Settings()
worker.open_runtime = lambda: build_runtime(settings, FollowingClock(settings.data_folder / "story-clock"))
app = worker.app
