"""The replicas of Ray Serve, asked of the dashboard inside the head Pod. Prints {"app/deployment": [ids]} as JSON."""

import json
import os
import urllib.request

token = {"Authorization": f"Bearer {os.environ['RAY_AUTH_TOKEN']}"} if os.environ.get("RAY_AUTH_TOKEN") else {}
request = urllib.request.Request("http://127.0.0.1:8265/api/serve/applications/", headers=token)
with urllib.request.urlopen(request, timeout=20) as answer:
    applications = json.load(answer)["applications"]
found = {
    f"{app}/{name}": sorted(
        replica["replica_id"] for replica in deployment["replicas"] if replica["state"] != "STOPPING"
    )
    for app, details in applications.items()
    for name, deployment in details["deployments"].items()
}
print(json.dumps(found))
