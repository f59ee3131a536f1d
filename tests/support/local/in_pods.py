"""The local runner with environment variables of a cluster's Ray Pods, which the product gives to no local Ray.

python -m support.local.in_pods '{"NAME": "value"}'
"""

import json
import sys
from typing import Any

from llmpipeline_serve.local import __main__ as runner
from llmpipeline_serve.local import ray_session
from llmpipeline_serve.local.environment import environment

_MORE: dict[str, str] = json.loads(sys.argv[1])


def _with_more(*args: Any, **named: Any) -> dict[str, str]:
    return {**environment(*args, **named), **_MORE}


if __name__ == "__main__":
    setattr(ray_session, "environment", _with_more)  # noqa: B010  # where the session takes it from
    sys.exit(runner.main())
