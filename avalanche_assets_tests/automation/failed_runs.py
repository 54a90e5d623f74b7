"""Runs that failed as real ones do, for what reads their logs."""

import dagster as dg

from avalanche_assets import errors


def fail(
    instance: dg.DagsterInstance,
    error: Exception,
    tags: dict[str, str] | None = None,
    *,
    at: str = "sigma0",
    day: str = "2018-01-09",
) -> dg.DagsterRun:
    """Runs s1_products, sigma0 and vv_vh_star of a date, of which `at` raises `error`."""
    partitions = dg.StaticPartitionsDefinition([day])

    def asset(name: str, *deps: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=list(deps), partitions_def=partitions)
        def made() -> None:
            if name == at:
                raise error

        return made

    assets = [asset("s1_products"), asset("sigma0", "s1_products"), asset("vv_vh_star", "sigma0")]
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = dg.materialize(
        assets, partition_key=day, instance=instance, tags=tags, run_config=quiet, raise_on_error=False
    )
    assert not result.success
    return instance.get_run_by_id(result.run_id)


AWAY = errors.TransientError("cdse: status 503; try again later")
DAMAGED = errors.SafeError("/products/a.zip: not a complete zip; fetch the product again")
