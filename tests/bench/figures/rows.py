"""A line of the tables."""


class Row:
    def __init__(self, what, goal, measured, runs, met=None):
        self.what, self.goal, self.measured, self.runs, self.met = what, goal, measured, runs, met
