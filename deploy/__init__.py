"""How it runs: the `ioc` command, the embedded broker and database, the departments' simulators."""
