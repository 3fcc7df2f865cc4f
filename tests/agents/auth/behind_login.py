"""An LLM endpoint that takes the tokens which a login service holds to be good."""

from openai_server import OpenAiServer


class BehindLogin(OpenAiServer):
    def __init__(self, globus, *script):
        super().__init__(*script)
        self.globus = globus
        self.refused = 0

    def lets_in(self, headers):
        good = headers.get("Authorization", "").removeprefix("Bearer ") in self.globus.good
        self.refused += not good
        return good
