"""Speed and memory against peers and against reading the files, measured in one run: `make bench`."""
