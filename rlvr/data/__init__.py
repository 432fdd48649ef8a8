"""What stages learn from beside the environment: sets of rows in files or on the hub, in the forms that are common.

sources      which sets, how much of each          forms        a row as a conversation or a text
rows         rows of a file or of the hub          preferences  a row as a prompt with two completions
mixing       several sets by weight                tokens       an example as tokens, and which of them are learned
pairs        best against worst of sampled groups  samples      the verified completions of sampled groups
"""
