"""What servers and gateways are known to answer, in their own words: each is used, or said with what
to do. Beside `test_endpoint_faults`."""

import gzip
import ipaddress
import json
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from openai_server import MODEL, Answer, OpenAiServer, completion, error, in_text, proposals, says
from spaces import EMPTY
from test_endpoint_faults import GOOD, Lab, message

from agents.config.model import LlmSettings
from agents.errors import ConfigurationError
from agents.proposers.endpoint import Endpoint


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    names = "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"
    for name in names:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "exchanges")


def answers(body, status=200, **fields):
    return lambda _: Answer(body, status, **fields)


def alcf(words, status=400):
    """As ALCF's gateway hands on what vLLM refused: a failure of its own, with a traceback."""
    inner = json.dumps({"object": "error", "message": words, "code": status})
    frames = '  File "/opt/worker.py", line 12, in run\n    raise error\n' * 8
    text = (
        f"\n Traceback (most recent call last):\n{frames}Exception: Unexpected error of type "
        f"Exception: API request failed with status code: {status}\nResponse text: {inner}\n"
        "Response headers: {'server': 'uvicorn'}"
    )
    return error(500, text)


# -- refusals, in the servers' words --------------------------------------------------------------

TOO_LONG = {
    "vLLM, long ago": "max_tokens must be at least 1, got -186.",
    "vLLM": "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "TGI": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3000",
    "SGLang": "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "Anthropic": "prompt is too long: 210000 tokens > 200000 maximum",
    "Anthropic, with the answer": "input length and `max_tokens` exceed context limit: 198500 + 4000",
    "Gemini": "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
    "Groq": "`max_tokens` must be less than or equal to `2048`",
    "DeepSeek": "Invalid max_tokens value, the valid range of max_tokens is [1, 2048]",
    "LiteLLM": "litellm.ContextWindowExceededError: OpenAIException",
}


@pytest.mark.parametrize("who", TOO_LONG)
def test_a_request_that_is_too_long_is_known_in_the_words_of_many(lab, who):
    def step(body):
        refused = body["max_tokens"] > 1000
        return error(400, TOO_LONG[who])(body) if refused else says(GOOD)(body)

    with OpenAiServer(step) as server:
        assert lab.proposed(server).origin == "llm"
    assert server.methods == ["json_schema"] * 3  # the way of asking is not to blame
    with OpenAiServer(error(400, TOO_LONG[who])) as server:
        assert "lower llm.prompt_tokens" in lab.proposed(server).fallback_reason


REFUSALS = {
    "a field that ALCF's gateway does not take": (
        answers(
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "payload", "chat_template_kwargs"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
            422,
        ),
        [
            "HTTP 422: body.payload.chat_template_kwargs: Extra inputs are not permitted)",
            "take chat_template_kwargs out of llm.extra_body",
        ],
    ),
    "a filter": (
        error(400, "The response was filtered due to Azure OpenAI's content management policy."),
        ["reword llm.prompt"],
    ),
    "a list of errors (Gemini)": (
        answers([{"error": {"code": 400, "message": "Unknown name xyz"}}], 400),
        ["HTTP 400: Unknown name xyz)"],
    ),
    "an error in an error (OpenRouter)": (
        answers(
            {
                "error": {
                    "message": "Provider returned error",
                    "code": 400,
                    "metadata": {"raw": '{"error": {"message": "at most 1 image"}}'},
                }
            },
            400,
        ),
        ["HTTP 400: Provider returned error: at most 1 image)"],
    ),
    "an error in an answer (OpenRouter)": (
        answers(
            {
                "error": {
                    "message": "Provider returned error",
                    "code": {"odd": 1},
                    "metadata": {"raw": "rate-limited upstream"},
                }
            }
        ),
        ["answered with an error (Provider returned error: rate-limited upstream)"],
    ),
    "an error in a choice (OpenRouter)": (
        message("error", content=""),
        ["the provider broke it off with an error"],
    ),
    "a failure behind ALCF's gateway": (
        alcf("CUDA error: device-side assert", 500),
        ["failed (HTTP 500: CUDA error: device-side assert): see the server's log"],
    ),
    "a failure of ALCF's gateway": (
        error(500, "\n Traceback (most recent call last):\n  File x\nOSError: no node"),
        ["failed (HTTP 500: OSError: no node): see"],
    ),
    "a model that is not loaded yet (llama.cpp)": (
        error(503, "Loading model"),
        ["is loading its model, or overloaded (HTTP 503: Loading model): it is asked again later"],
    ),
    "a gateway that gave up (ALCF)": (
        error(408, "TimeoutError while attempting to access compute resources."),
        ["was waited for in vain by a gateway before it (HTTP 408", "takes minutes"],
    ),
    "a quota": (
        error(429, "You exceeded your current quota, please check your plan"),
        ["it is asked again later; see your plan at the provider"],
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_said_in_the_servers_words_with_what_to_do(lab, name):
    step, words = REFUSALS[name]
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    with OpenAiServer(step) as server:
        proposal = lab.proposed(server, extra_body=extra)
    assert proposal.origin == "sampler"
    for word in words:
        assert word in proposal.fallback_reason


def test_a_refusal_behind_a_gateway_that_calls_it_a_failure_is_learnt_from(lab):
    """Also after an answer, when a 500 would be an accident."""

    def full(body):
        refused = body["max_tokens"] > 2000
        words = "This model's maximum context length is 4096 tokens."
        return alcf(words)(body) if refused else says(GOOD)(body)

    with OpenAiServer(says(GOOD), full) as server:
        mind = lab.mind(server)
        mind.propose(EMPTY, 1)
        assert mind.propose(EMPTY, 1).proposals[0].origin == "llm"
    assert [body["max_tokens"] for body in server.requests] == [4000, 4000, 2000]


def test_what_a_filter_holds_back_is_not_asked_in_another_way(lab):
    with OpenAiServer(error(400, "content_filter")) as server:
        lab.proposed(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [520, 524, 529])
def test_statuses_of_clouds_pass_too(lab, status):
    with OpenAiServer(error(status, "Overloaded"), says(GOOD)) as server:
        assert lab.proposed(server, max_retries=1).origin == "llm"


def test_an_error_as_an_answer_that_may_pass_is_tried_again(lab):
    busy = answers({"error": {"message": "Provider returned error", "code": 429}})
    with OpenAiServer(busy, says(GOOD)) as server:
        assert lab.proposed(server, max_retries=1).origin == "llm"
    assert len(lab.slept) - lab.slept.count(0.0) == 1


# -- the way to the server ------------------------------------------------------------------------


def test_an_answer_that_breaks_off_is_not_called_out_of_reach(lab):
    with OpenAiServer(answers(completion(GOOD), missing=50)) as server:
        assert "broke off its answer" in lab.proposed(server).fallback_reason
    with OpenAiServer(answers(completion(GOOD), headers={"Content-Encoding": "gzip"})) as server:
        assert "broke off its answer" in lab.proposed(server).fallback_reason


def test_a_packed_answer_is_unpacked(lab):
    packed = gzip.compress(json.dumps(completion(GOOD)).encode())
    with OpenAiServer(answers(packed, headers={"Content-Encoding": "gzip"})) as server:
        assert lab.proposed(server).origin == "llm"


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_that_loses_the_question_is_named(lab, status):
    with OpenAiServer(says(GOOD)) as there:
        goal = f"{there.url}/chat/completions?token=hush-hush"
        with OpenAiServer(answers("", status, headers={"Location": goal})) as server:
            reason = lab.proposed(server).fallback_reason
    assert there.requests == []
    assert f"it led on to {there.url}, and a redirect may lose the question" in reason
    assert "hush" not in reason


def test_a_redirect_that_loses_the_key_is_named_and_the_key_goes_nowhere_else(lab, monkeypatch):
    monkeypatch.setenv("TEST_LLM_KEY", "sk-4711-4711")
    with OpenAiServer(says(GOOD), key="sk-4711-4711") as there:
        shown = []
        monkeypatch.setattr(there, "lets_in", lambda headers: shown.append(headers) or False)
        goal = f"{there.url}/chat/completions"
        with OpenAiServer(answers("", 308, headers={"Location": goal})) as server:
            reason = lab.proposed(server, api_key_env="TEST_LLM_KEY").fallback_reason
    assert [headers.get("Authorization") for headers in shown] == [None]
    assert f"it led on to {there.url}" in reason


@pytest.mark.parametrize("ending", ["/", "//"])
def test_a_slash_at_the_end_of_the_address_does_not_matter(lab, ending):
    with OpenAiServer(says(GOOD)) as server:
        assert lab.proposed(server, base_url=server.url + ending).origin == "llm"


def test_what_stands_behind_the_address_goes_with_each_question(lab):
    with OpenAiServer(says(GOOD)) as server:
        url = f"{server.url}?api-version=2024-10-21"
        assert lab.proposed(server, base_url=url).origin == "llm"
    assert server.queries == ["api-version=2024-10-21"]


@pytest.mark.parametrize("ending", ["/chat/completions", "/chat/completions/", "/models"])
def test_an_address_with_what_is_added_to_it_is_refused_with_the_right_one(ending):
    url = f"https://me:hush-hush@host/v1{ending}"
    with pytest.raises(ConfigurationError, match=r"https://host/v1$") as caught:
        Endpoint(LlmSettings(base_url=url, model="m"))
    assert "hush" not in str(caught.value)


UNUSABLE = {
    "a SOCKS proxy without its package": ("ALL_PROXY", "socks5h://127.0.0.1:1", "socksio"),
    "a proxy of another sort": ("HTTP_PROXY", "ftp://me:hush-hush@host:1", "see HTTP_PROXY"),
    "certificates that are not there": ("SSL_CERT_FILE", "/nowhere/ca.pem", "see the environment"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_environment_that_lets_no_client_be_made_ends_no_search(lab, monkeypatch, name):
    variable, value, words = UNUSABLE[name]
    monkeypatch.setenv(variable, value)
    with OpenAiServer(says(GOOD)) as server:
        # Clients are kept by address and time-out.
        proposal = lab.proposed(server, timeout=31.0 + len(name))
    assert proposal.origin == "sampler"
    assert f"{MODEL} at {server.url} cannot be asked" in proposal.fallback_reason
    assert words in proposal.fallback_reason
    assert "hush" not in proposal.fallback_reason


def test_a_server_that_speaks_http_is_not_asked_in_https(lab):
    with OpenAiServer(says(GOOD)) as server:
        url = server.url.replace("http://", "https://")
        assert "(http:// or https://?)" in lab.proposed(server, base_url=url).fallback_reason


def own_certificate(directory):
    """Files with a key and a certificate for this machine that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    made = builder.add_extension(x509.BasicConstraints(True, None), critical=True).sign(
        key, SHA256()
    )
    form = PrivateFormat.PKCS8, NoEncryption()
    files = directory / "key.pem", directory / "certificate.pem"
    files[0].write_bytes(key.private_bytes(Encoding.PEM, *form))
    files[1].write_bytes(made.public_bytes(Encoding.PEM))
    return files


def test_a_certificate_of_ones_own_is_named_with_the_variable_that_makes_it_known(
    lab, tmp_path, monkeypatch
):
    key, certificate = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = OpenAiServer(says(GOOD))
    server.wrap(context)
    with server:
        reason = lab.proposed(server).fallback_reason
        assert "a certificate that nobody here vouches for" in reason
        assert "SSL_CERT_FILE" in reason
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert lab.proposed(server, timeout=59.0).origin == "llm"  # another client


# -- what models write ----------------------------------------------------------------------------

POINT = {"x": 0.5}
ONE = {"rationale": "http://a.b/c", "parameters": POINT}
FORMS = {
    "comments and a comma too many": (
        'Sure: ```json\n{"proposals": [ // two\n {"rationale": "see http://a, {b}",\n'
        '  /* low */ "parameters": {"x": 0.5,},},]}\n```'
    ),
    "in an object": json.dumps({"answer": {"proposals": [ONE]}}),
    "in a text in an object": json.dumps({"result": json.dumps({"proposals": [ONE]})}),
    "one in place of a list": json.dumps({"proposals": ONE}),
    "by their names": json.dumps({"proposals": {"first": ONE}}),
    "by their names alone": json.dumps({"proposal_1": ONE}),
    "with a key of its own": json.dumps({"proposals": [{"hyperparameters": POINT}]}),
    "in another language": json.dumps({"提案": [{"理由": "好", "parameters": POINT}]}),
    "a number as text": proposals({"x": "0.5"}),
    "a number as text, in another notation": proposals({"x": " 5e-1 "}),
    "gpt-oss with its channels": (
        f"<|channel|>analysis<|message|>perhaps {proposals({'x': 0.9})}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{GOOD}"
    ),
    "Mistral's thoughts": f"[THINK]perhaps {proposals({'x': 0.9})}[/THINK]{GOOD}",
}


@pytest.mark.parametrize("name", FORMS)
def test_an_answer_in_another_form_is_read(lab, name):
    with OpenAiServer(in_text(FORMS[name])) as server:
        proposal = lab.proposed(server)
    assert (proposal.origin, proposal.parameters) == ("llm", {"x": 0.5}), proposal.fallback_reason


@pytest.mark.parametrize("value", ["50%", "half", "0.5 or so", "", "nan", "1e999", "0x1", None])
def test_a_value_that_may_mean_two_things_goes_back(lab, value):
    with OpenAiServer(in_text(proposals({"x": value})), says(GOOD)) as server:
        assert lab.proposed(server, repair_attempts=1).parameters == {"x": 0.5}
    assert "x: " in server.requests[1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    "draft",
    [
        f"[THINK]perhaps {GOOD}",
        f"<|channel|>analysis<|message|>perhaps {GOOD}",
        f"<|channel|>analysis<|message|>perhaps {GOOD}<|end|>",
    ],
)
def test_a_draft_in_a_thought_without_an_end_is_no_answer(lab, draft):
    with OpenAiServer(in_text(draft)) as server:
        assert "the answer was empty" in lab.proposed(server).fallback_reason
