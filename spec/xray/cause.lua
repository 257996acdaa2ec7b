-- fault, error, throttle, and exceptions with their stacks.
local EMPTY = { content_length = 0 }

local function status(code) return { request = {}, response = { status = code, content_length = 0 } } end

local function thrown(stack, attrs)
  local list = { { "exception.type", "T" }, { "exception.message", "m" } }
  for _, pair in ipairs(attrs or {}) do list[#list + 1] = pair end
  if stack then list[#list + 1] = { "exception.stacktrace", stack } end
  return { { name = "exception", attrs = list } }
end

-- The document of one exception with that stack.
local function one(stack) return { cause = { exceptions = { { id = "#1", type = "T", message = "m", remote = false, stack = stack } } } } end

local function frame(path, label, line) return { path = path, label = label, line = line } end

local JAVA = "T: m\n\tat a.b.C.d(C.java:12)\n\tat java.base/java.lang.Thread.run(Thread.java:829)\nCaused by: java.io.IOException: worse\nmore\n"
  .. "\tat x.Y.z(Native Method)\n\t... 3 more\n"
local PYTHON = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\n  File "b.py", line 4, in g\n    raise e\nValueError: first\n\n'
  .. "%s\n\nTraceback (most recent call last):\n" .. '  File "d.py", line 7, in h\nTypeError: second'
local HANDLING = PYTHON:format "During handling of the above exception, another exception occurred:"
local DIRECT = PYTHON:format "The above exception was the direct cause of the following exception:"
local JAVASCRIPT = "Error: m\n    at speedy (/home/x/file.js:6:11)\n    at file:///x/y.js:3:4\n    at Array.map (native)\n    at Object.<anonymous> (C:\\a.js:1:2)"
local JAVA_CAUSE = { cause = { exceptions = {
  { id = "#1", type = "T", message = "m", remote = false, cause = "#2", stack = { frame("C.java", "a.b.C.d", 12), frame("Thread.java", "java.lang.Thread.run", 829) } },
  { id = "#2", type = "java.io.IOException", message = "worsemore", remote = false, stack = { frame("Native Method", "x.Y.z", 0) } },
} } }
local PYTHON_CAUSE = { cause = { exceptions = {
  { id = "#1", type = "T", message = "m", remote = false, cause = "#2", stack = { frame("d.py", "h", 7) } },
  { id = "#2", type = "ValueError", message = "first", remote = false, stack = { frame("b.py", "g", 4), frame("a.py", "f", 3) } },
} } }
local WHOLE_PATHS = one { frame("/home/x/file.js", "speedy", 6), frame("file:///x/y.js", "", 3), frame("native", "Array.map", 0), frame("C:\\a.js", "Object.<anonymous>", 1) }

local function language(name) return { ["telemetry.sdk.language"] = name } end

-- The same with what every document says of the SDK's language: nothing without its name. Resources of segments are metadata.
local function with(name, compat)
  compat.type = "subsegment"
  return compat, language(name)
end

local function stack_case(what, name, text, compat, default)
  local expected, resource = with(name, compat)
  return { what, resource = resource, span = { parent = true, events = thrown(text) }, compat = expected, default = default }
end

return {
  { "404 is the caller's error", span = { attrs = { { "http.status_code", 404 } } }, compat = { error = true, http = status(404) } },
  { "429 is throttling", span = { attrs = { { "http.status_code", 429 } } }, compat = { error = true, throttle = true, http = status(429) } },
  { "500 is a fault whatever the span says", span = { status = 1, attrs = { { "http.status_code", 500 } } }, compat = { fault = true, http = status(500) } },
  { "503 of the new conventions is a fault", span = { attrs = { { "http.response.status_code", 503 } } }, compat = { fault = true, http = status(503) } },
  { "a failed 200 is a fault", span = { status = 2, attrs = { { "http.status_code", 200 } } }, compat = { fault = true, http = status(200) } },
  {
    "a failed 404 is an error, not a fault", span = { status = 2, message = "gone", attrs = { { "http.status_code", 404 } } },
    compat = { error = true, http = status(404), cause = { exceptions = { { id = "#1", type = "", message = "gone" } } } },
  },
  { "600 says nothing", span = { attrs = { { "http.status_code", 600 } } }, compat = { http = status(600) } },
  { "a failure without a message has no cause", span = { status = 2 }, compat = { fault = true } },
  {
    "http.status_text says why", span = { status = 2, attrs = { { "http.status_text", "Bad Gateway" } } },
    compat = { fault = true, cause = { exceptions = { { id = "#1", type = "", message = "Bad Gateway" } } } },
  },
  {
    "http.status_text of a span that did not fail is metadata", span = { attrs = { { "http.status_text", "OK" } } },
    compat = { metadata = { default = { ["http.status_text"] = "OK" } } },
  },
  { "an exception is a cause, and no fault", span = { events = thrown() }, compat = one() },
  {
    "an exception may say nothing", span = { events = { { name = "exception" } } },
    compat = { cause = { exceptions = { { id = "#1", type = "", message = "", remote = false } } } },
  },
  {
    "of a call it is remote", span = { kind = "client", events = thrown() },
    compat = { namespace = "remote", cause = { exceptions = { { id = "#1", type = "T", message = "m", remote = true } } } },
  },
  {
    "a request that an AWS SDK made again is a cause",
    span = { kind = "client", attrs = { { "rpc.system", "aws-api" } }, events = {
      { name = "HTTP request failure", time_ns = "1700000000123456789", attrs = { { "http.response.status_code", 503 }, { "aws.http.error_message", "slow" } } },
    } },
    compat = {
      namespace = "aws", metadata = { default = { ["rpc.system"] = "aws-api" } },
      cause = { exceptions = { { id = "#1", type = "aws.http.error.event", message = "503@1700000000.123456@slow", remote = true } } },
    },
  },
  {
    "of other systems it is none",
    span = { events = { { name = "HTTP request failure", attrs = { { "http.response.status_code", 503 }, { "aws.http.error_message", "slow" } } } } },
  },
  {
    "one that does not say what failed is a cause without exceptions", span = { attrs = { { "rpc.system", "aws-api" } }, events = { { name = "HTTP request failure" } } },
    compat = { namespace = "aws", metadata = { default = { ["rpc.system"] = "aws-api" } }, cause = {} },
  },
  stack_case("a stack of Java, and what caused it", "java", JAVA, JAVA_CAUSE),
  stack_case("a stack of PHP is as one of Java", "php", JAVA, { cause = JAVA_CAUSE.cause }),
  stack_case("a stack of Python, and what was handled then", "python", HANDLING, PYTHON_CAUSE),
  stack_case("a direct cause of Python", "python", DIRECT, one { frame("d.py", "h", 7), frame("b.py", "g", 4), frame("a.py", "f", 3) }, PYTHON_CAUSE),
  stack_case("a stack of JavaScript", "javascript", JAVASCRIPT, one {
    frame("/home/x/file.js", "speedy ", 6), frame("file", "", 0), frame("native", "Array.map ", 0), frame("C", "Object.<anonymous> ", 0),
  }, { cause = WHOLE_PATHS.cause }),
  stack_case("a stack of Node.js", "nodejs", JAVASCRIPT, one(), { cause = WHOLE_PATHS.cause }),
  stack_case("a stack of .NET", "dotnet", "T: m\r\n   at A.B.C(String s) in C:\\src\\x.cs:line 12\r\n   at A.E()\r\n--- End\r\n", one { frame("C:\\src\\x.cs", "A.B.C(String s)", 12), frame("", "A.E()", 0) }),
  stack_case("a stack of Go", "go", "m\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/tmp/a.go:12 +0x1\nmain.g()\nno place\n", one { frame("/tmp/a.go", "main.f(0x1)", 12), frame("/tmp/a.go", "main.g()", 12) }),
  stack_case("a stack of another language is not parsed", "ruby", "a.rb:1", one()),
  {
    "the message is the event's, not the status's", span = { status = 2, message = "no", events = thrown(nil, { { "x", 1 } }), attrs = { { "http.method", "GET" } } },
    compat = { fault = true, http = { request = { method = "GET" }, response = EMPTY }, cause = one().cause },
  },
}
