"""What this process counts for an experiment, beside what it counts for Prometheus.

    experiment  what is counted of one request
    tallies     the counts: by revision, by the caller's bucket, by value
    returned    the numbers that are taken from the model's outputs
    posted      the numbers that callers post back, and the ids under which they do
    remembered  which of those came already

All of it belongs to the event loop's thread.
"""
