"""The official `cohere` package: rerank, in the form that Together took over from Cohere."""

import cohere
from checks import address, check, raises, run, same

DOCUMENTS = [
    "Carson City is the capital city of the American state of Nevada.",
    "Washington, D.C. is the capital of the United States.",
    "Capital punishment has existed in the United States since before it was a country.",
]
QUESTION = {
    "model": "Salesforce/Llama-Rank-V1",
    "query": "What is the capital of the United States?",
    "documents": DOCUMENTS,
}


@check("rerank of the first API against the simulated Together")
def rerank():
    client = cohere.Client(api_key="any", base_url=address("TOGETHER_URL"))
    answer = client.rerank(top_n=2, return_documents=True, **QUESTION)
    same(answer.results[0].index, 1)
    same(answer.results[0].document.text, DOCUMENTS[1])
    scores = [result.relevance_score for result in answer.results]
    same(scores, sorted(scores, reverse=True))


@check("rerank without the documents, all of them ranked")
def rerank_without_documents():
    client = cohere.Client(api_key="any", base_url=address("TOGETHER_URL"))
    answer = client.rerank(**QUESTION)
    same(len(answer.results), len(DOCUMENTS))
    same({result.document for result in answer.results}, {None})


@check("rerank of the first API through the gateway, documents as objects too")
def gateway_v1():
    client = cohere.Client(api_key=address("GATEWAY_KEY"), base_url=address("GATEWAY_URL"))
    for documents in [DOCUMENTS, [{"text": text} for text in DOCUMENTS]]:
        question = {**QUESTION, "model": "reranker", "documents": documents}
        answer = client.rerank(top_n=2, return_documents=True, **question)
        same([len(answer.results), answer.results[0].index], [2, 1])
        assert DOCUMENTS[1] in answer.results[0].document.text, answer
        assert answer.id and answer.meta.billed_units, answer
        bare = client.rerank(return_documents=False, **question)
        same({result.document for result in bare.results}, {None})


@check("rerank of the second API through the gateway, with a /v1 in its address too")
def gateway_v2():
    for base in [address("GATEWAY_URL"), address("GATEWAY_URL") + "/v1"]:
        client = cohere.ClientV2(api_key=address("GATEWAY_KEY"), base_url=base)
        answer = client.rerank(top_n=2, **{**QUESTION, "model": "reranker"})
        same([len(answer.results), answer.results[0].index], [2, 1])
        scores = [result.relevance_score for result in answer.results]
        same(scores, sorted(scores, reverse=True))
        assert not any("document" in result.dict() for result in answer.results), answer


@check("a wrong key is an UnauthorizedError")
def wrong_key():
    client = cohere.Client(api_key="invalid", base_url=address("TOGETHER_URL"))
    with raises(cohere.UnauthorizedError):
        client.rerank(**QUESTION)


@check("a model without rerank is a BadRequestError that says what it has, from the gateway")
def gateway():
    client = cohere.ClientV2(api_key=address("GATEWAY_KEY"), base_url=address("GATEWAY_URL"))
    with raises(cohere.BadRequestError) as error:
        client.rerank(**{**QUESTION, "model": "mistral-deployment"})
    assert "does not support rerank; it supports chat" in error.value.body["error"]["message"], error.value.body


run()
