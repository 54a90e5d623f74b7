"""How workers behave; `dagster_celery.app` reads the module of this name from PYTHONPATH."""

from os import environ

broker_url = result_backend = environ["AVALANCHE_BROKER"]
broker_connection_retry_on_startup = True
# One run at a time; a second worker on a machine is a second process of its own.
worker_concurrency = 1
# Each run in a fresh process: one that has loaded the definitions before does not know dates that came later.
worker_max_tasks_per_child = 1
# A busy worker takes no second run, which would wait for it or die with it.
worker_prefetch_multiplier = 1
task_acks_late = True
# After it Redis hands out a run again that no worker has reported back: longer than any run may take.
broker_transport_options = {"visibility_timeout": 25200}
