local aws = require("moontail.testing") and require("moontail.aws").api
local env = require "moontail.env"

describe("what AWS says of a refused call", function()
  local function code(body, header) return aws.error_code { body = body, headers = { ["x-amzn-errortype"] = header } } end

  it("is in a header or in the body, with a prefix or an address", function()
    assert.same("ThrottlingException", code("", "ThrottlingException:http://internal.amazon.com/coral/"))
    assert.same("ThrottledException", code '{"__type":"com.amazonaws.xray#ThrottledException"}')
    assert.same("AccessDenied", code '{"code":"AccessDenied"}')
    assert.same("AccessDenied", code '{"Code":"AccessDenied"}')
    assert.same("InHeader", code('{"code":"InBody"}', "InHeader"))
  end)

  it("is empty where there is none", function()
    assert.same("", code "")
    assert.same("", code "<html>")
    assert.same("", code "[1]")
    assert.same("", code "{}")
  end)

  it("is throttling where it means not now", function()
    for _, name in ipairs { "ThrottlingException", "ThrottledException", "TooManyRequestsException", "InternalFailure",
                            "ServiceUnavailableException", "LimitExceededException", "OperationAbortedException", "RequestTimeout" } do
      assert.is_true(aws.is_throttling(name), name)
    end
    for _, name in ipairs { "", "InvalidRequestException", "AccessDeniedException", "ResourceNotFoundException" } do
      assert.is_false(aws.is_throttling(name), name)
    end
  end)
end)

describe("a library that is loaded when it is read", function()
  local loads, lib

  before_each(function()
    loads = 0
    lib = env.lazy(function()
      loads = loads + 1
      return { answer = 42 }
    end, "lib")
  end)

  it("is loaded once, and not before", function()
    assert.same(0, loads)
    assert.same({ 42, 42 }, { lib.answer, lib.answer })
    assert.same(1, loads)
  end)

  it("is as frozen as others", function()
    for _ = 1, 2 do
      local ok, why = pcall(function() return lib.anwser end)
      assert.is_false(ok)
      assert.truthy(why:find("spec/aws_spec.lua:%d+: lib has no 'anwser' %(did you mean 'answer'%?%)$"), why)
    end
    assert.is_false(pcall(function() lib.answer = 1 end))
    assert.is_false(getmetatable(lib))
  end)
end)
