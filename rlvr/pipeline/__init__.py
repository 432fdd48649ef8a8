"""The run: stages in order, in one folder that a second call of the same command resumes."""
