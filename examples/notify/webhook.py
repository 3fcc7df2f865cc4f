"""Tell a chat: posts the message to the address in NOTIFY_URL (Slack, Mattermost, Discord, ntfy).

    notify:
      command: [python3, /home/ada/webhook.py]

The address is a secret: it is in the environment, out of configurations and process lists.
"""

import json
import os
import sys
import urllib.request

url = os.environ["NOTIFY_URL"]
text = sys.stdin.buffer.read().decode()
if "ntfy" in url:
    body, kind = text.encode(), "text/plain; charset=utf-8"
else:
    # Slack and Mattermost read `text`, Discord reads `content`.
    body, kind = json.dumps({"text": text, "content": text[:2000]}).encode(), "application/json"
# Discord's guard refuses what calls itself Python-urllib.
headers = {"Content-Type": kind, "User-Agent": "pilothouse"}
request = urllib.request.Request(url, body, headers)
urllib.request.urlopen(request, timeout=30).close()
