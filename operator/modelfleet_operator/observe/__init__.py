"""The cluster -> `Observed`. Nothing else reads.

`gather.py` asks the API server, once for each kind; the other files say what one kind's answer
means, and know no client.
"""
