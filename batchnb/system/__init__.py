"""The machine and the process: clocks, files, threads, forks, the environment. Imports errors and units."""
