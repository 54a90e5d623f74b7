"""DHuS archives, through sentinelsat."""
