// Reads the OpenAPI document and shows it. Where the service asks for a token, so does this page; it is kept nowhere.
"use strict";

let token = "";

function withToken(request) {
  if (token) request.headers = { ...request.headers, Authorization: `Bearer ${token}` };
  return request;
}

async function readDocument() {
  const answer = await fetch("openapi.json", withToken({ headers: {} }));
  if (answer.status !== 401) return answer;
  token = (window.prompt("This service asks for a token:") || "").trim();
  return token ? fetch("openapi.json", withToken({ headers: {} })) : answer;
}

async function show() {
  const answer = await readDocument();
  const read = await answer.json();
  if (answer.ok) {
    SwaggerUIBundle({ spec: read, domNode: document.getElementById("page"), requestInterceptor: withToken });
  } else {
    document.getElementById("note").textContent = read.detail;
  }
}

show().catch((error) => { document.getElementById("note").textContent = String(error); });
