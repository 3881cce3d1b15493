package conformance;

import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/** Says of every test by its name how it ended, in a form that the caller counts. */
public final class Names implements TestExecutionListener {
    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        if (test.isTest()) {
            var passed = result.getStatus() == TestExecutionResult.Status.SUCCESSFUL;
            var why = result.getThrowable().map(error -> " " + error).orElse("").replace('\n', ' ');
            System.out.printf("KIT %s %s%s%n", passed ? "passed" : "failed", test.getDisplayName(), why);
        } else if (result.getStatus() == TestExecutionResult.Status.FAILED) {
            System.out.printf("KIT failed %s %s%n", test.getDisplayName(), result.getThrowable().orElse(null));
        }
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        System.out.printf("KIT skipped %s %s%n", test.getDisplayName(), reason);
    }
}
