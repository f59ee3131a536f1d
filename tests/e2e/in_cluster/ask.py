"""One POST from inside the cluster: `python ask.py '[ADDRESS, BODY, HEADERS]'` prints `[STATUS, TEXT]`; 0: none."""

import json
import sys
import urllib.error
import urllib.request

address, body, headers = json.loads(sys.argv[1])
request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
except OSError as error:
    print(json.dumps([0, str(error)]))
