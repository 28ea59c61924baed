# SPDX-License-Identifier: Apache-2.0
# python_outcomes.py: runs `test.NAME` of Python's own test suite and writes a line "TEST OUTCOME" for each test to descriptor 3, whatever
# the tests do with the others. Skips count as an outcome of their own: a test that finds less inside is seen.
import os
import sys
import unittest

out = os.fdopen(os.dup(3), "w", buffering=1)
os.set_inheritable(out.fileno(), False)


class Outcomes(unittest.TextTestResult):
    def tell(self, test, outcome):
        out.write(f"{test.id()} {outcome}\n")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.tell(test, "ok")

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(test, "error")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(test, "fail")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tell(test, "skip")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.tell(test, "fail")


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromName("test." + sys.argv[1])
    unittest.TextTestRunner(resultclass=Outcomes, verbosity=2).run(suite)
