"""What does a caller lose while a model is rolled out, killed, or left without its cluster?

A reader's way::

    load        requests leave at a fixed rate, whatever comes back
    ledger      what became of each of them
    witness     the model: it tells which request it has run, and can be told to fail or to hang
    stage       a ModelDeployment under load, and the hands that change and break it
    causes      what is done to it, one function a cause
    row         one line of the table
"""
