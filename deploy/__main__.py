"""`python -m deploy`: the same as `ioc`."""

from deploy.cli import main

main()
