// Tells each test of Node as one line of JSON, for tests/test_stepper_js.py.
export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type === "test:pass" || type === "test:fail") {
      const error = data.details.error?.cause ?? data.details.error;
      const message = error && [error.message ?? String(error), ...(error.stack ?? "").split("\n").filter((line) => /^ +at .*\.m?js:/.test(line))].join("\n");
      yield `${JSON.stringify({ name: data.name, message: type === "test:fail" ? message : "" })}\n`;
    } else if (type === "test:stderr" || type === "test:stdout") {
      yield `${JSON.stringify({ printed: data.message })}\n`;
    }
  }
}
