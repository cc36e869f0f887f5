"""What may be concluded from counts that are looked at again and again.

Everything here is a pure function of numbers: no I/O, no clock, nothing but the standard library.
`docs/analysis.md` says which test decides what; the terms are the literature's: an *e-process*
starts at 1, and under its null hypothesis it ever reaches 1/alpha with a probability of at most
alpha, so it may be judged after every block of requests. All logarithms are natural.

    outcomes      what was counted: requests and failures of one arm, of two arms over one period
    mixture       yes/no outcomes: evidence and bounds, two arms or one arm against a limit
    restarts      the same for long periods: a break is found although there were good times before
    blocks        when is a block of both arms' outcomes complete?
    latency       quantile limits as yes/no outcomes; quantiles for people to read
    means         means and ratios, also where the requests of one user are alike
    sample_ratio  did the arms get the shares of users that were asked for?
    counters      counters of several router pods -> what was added in one period
    policy        what a rollout gate is asked to hold, and its stages
    checks        the tests of a gate, each with its memory
    memory        what one stage remembers, and how a look at the routers adds to it
    findings      what each check has found: the numbers that people need, and one sentence
    gate          may the rollout go on, must it go back, or is it too early to say?
    admission     how long will a stage take at this traffic?
    segments      evidence that goes on where what is counted begins at nothing
    experiment    arms against the control: difference, interval, p-value
    callers       what pods count by hash bucket of the caller -> one sum of each arm
    trial         what one experiment remembers, and how a look adds to it
    encoding      memory as short text, kept in the resource's status
"""
