"""Other people's collections as environments of ours, found by prefix (`rlvr_envs.collection`), and ours elsewhere.

Each module stands beside one package, which is imported only when something of it is asked for.
"""
