"""python -m guestwire: the agent."""

import sys

from .cli.agent import main

sys.exit(main())
