"""Everything that happens while nobody is waiting: relay of the outbox, schedule, tasks, the Celery application."""
