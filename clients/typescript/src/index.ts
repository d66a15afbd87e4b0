/** Client of a running facegate service. Its types are generated from the service's OpenAPI document. */

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Success = components["schemas"]["Success"];
export type Failure = components["schemas"]["Failure"];
export type Answer = Success | Failure;
export type Details = components["schemas"]["Details"];

/** The call did not work: `status` is the HTTP status, `code` the stable reason, the message says what to do. */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "ServiceError";
  }
}

export interface Options {
  user: string;
  password: string;
  /** Tries in all while the service is busy (429, 503); it says how long to wait. */
  attempts?: number;
  /** Milliseconds for one try. */
  timeout?: number;
  /** Another `fetch`, for tests. */
  fetch?: (request: Request) => Promise<Response>;
}

export interface Wanted {
  /** Echoed in the answer; a random one by default. */
  sessionId?: string;
  faceImage?: boolean;
  details?: boolean;
}

const LONGEST_WAIT = 60_000;

export class FaceGate {
  readonly #api: Client<paths>;
  readonly #attempts: number;
  readonly #timeout: number;

  constructor(url: string, { user, password, attempts = 4, timeout = 60_000, fetch }: Options) {
    const login = Buffer.from(`${user}:${password}`).toString("base64");
    const headers = { Authorization: `Basic ${login}` };
    this.#api = createClient<paths>({ baseUrl: url, headers, ...(fetch ? { fetch } : {}) });
    this.#attempts = Math.max(attempts, 1);
    this.#timeout = timeout;
  }

  /**
   * Checks one picture: its bytes, or a link that the service is to fetch. A picture that cannot be used is an answer
   * with `hasError: true`; a call that did not work rejects with a `ServiceError`.
   */
  async detect(picture: Uint8Array | string, wanted: Wanted = {}): Promise<Answer> {
    const body = {
      sessionId: wanted.sessionId ?? crypto.randomUUID(),
      faceImageBase: typeof picture === "string" ? picture : Buffer.from(picture).toString("base64"),
      returnFaceImage: wanted.faceImage ?? false,
      returnDetails: wanted.details ?? false,
    };
    for (let attempt = 1; ; attempt++) {
      const signal = AbortSignal.timeout(this.#timeout);
      // As text: what stands between may answer 200 with a page of its own.
      const { data, error, response } = await this.#api.POST("/api/v1/face/detect", { body, signal, parseAs: "text" });
      if (response.ok) return read(response.status, data);
      if ((response.status !== 429 && response.status !== 503) || attempt === this.#attempts) {
        throw problem(response.status, error);
      }
      await new Promise((resolve) => setTimeout(resolve, wait(response, attempt)));
    }
  }

  /** Whether the networks are loaded and the service takes requests. */
  async isReady(): Promise<boolean> {
    const signal = AbortSignal.timeout(this.#timeout);
    const { response } = await this.#api.GET("/readyz", { parseAs: "text", signal });
    return response.status === 200;
  }
}

function read(status: number, text: string | undefined): Answer {
  let answer: unknown;
  try {
    answer = JSON.parse(text ?? "");
  } catch {
    // No JSON is no answer either.
  }
  if (typeof (answer as Partial<Answer> | null | undefined)?.hasError !== "boolean") throw problem(status, undefined);
  return answer as Answer;
}

function problem(status: number, answer: unknown): ServiceError {
  const detail = (answer as Partial<Failure> | undefined)?.errorDetail;
  return new ServiceError(
    status,
    detail?.code ?? "answer_unknown",
    detail?.message ?? "the answer is none of facegate's: is this address right?",
  );
}

/** Milliseconds until the next try: what the service asks for, else twice as long each time. */
function wait(response: Response, attempt: number): number {
  const asked = Number(response.headers.get("retry-after") ?? Number.NaN) * 1000;
  return Math.min(Number.isFinite(asked) ? Math.max(asked, 0) : 250 * 2 ** attempt, LONGEST_WAIT);
}
