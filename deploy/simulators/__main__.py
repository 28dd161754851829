"""`python -m deploy.simulators tax|telehealth|banks|hospitals|judge`: one department's system, or the comparison with what they all sent."""

import sys

from deploy.simulators.running import main

sys.exit(main(sys.argv[1:]))
