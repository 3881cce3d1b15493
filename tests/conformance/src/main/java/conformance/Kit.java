package conformance;

import java.io.FileReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.eclipse.dataspacetck.core.spi.system.SystemLauncher;
import org.eclipse.dataspacetck.runtime.TckRuntime;

/** Runs the kit's tests and ends with 0 only when every one that was started has passed. */
public final class Kit {
    private static final String LAUNCHER = "org.eclipse.dataspacetck.dsp.system.DspSystemLauncher";
    private static final String TESTS = "org.eclipse.dataspacetck.dsp.verification";

    private Kit() {}

    /** Arguments: the properties file, and optionally an expression that display names of tests must match. */
    public static void main(String[] arguments) throws Exception {
        var run = TckRuntime.Builder.newInstance()
                .properties(read(Path.of(arguments[0])))
                .launcher(Class.forName(LAUNCHER).asSubclass(SystemLauncher.class))
                .addPackage(TESTS);
        if (arguments.length > 1) {
            // Names of classes pass too: a filter that refused them would refuse everything in them.
            run.displayNameMatching(name -> name.matches(arguments[1]) || !name.contains(":"));
        }
        var summary = run.build().execute();
        System.out.printf("%d passed, %d failed%n", summary.getTestsSucceededCount(), summary.getTotalFailureCount());
        System.exit(summary.getTotalFailureCount() == 0 ? 0 : 1);
    }

    private static Map<String, String> read(Path file) throws IOException {
        var read = new Properties();
        try (var reader = new FileReader(file.toFile())) {
            read.load(reader);
        }
        var properties = new HashMap<String, String>();
        read.forEach((name, value) -> properties.put(name.toString(), value.toString().trim()));
        return properties;
    }
}
