// Follows a live channel as server-sent events (docs/events.md). After a cut it goes on where it was.

export type Frame = {
  type: string;
  seq: number;
  /** Number of the frame before this one; a snapshot has none. */
  prev?: number;
  data?: { order?: { id: string; status: string } };
  orders?: { id: string; status: string }[];
};

/** The server says that there is nothing to follow, or nothing more. */
export class Refused extends Error {}

/** The server sends a comment every 20 seconds; after this silence the connection is taken for broken. */
const SILENCE_MS = 60_000;

/** Yields every frame of the channel, each once: first a snapshot, then events. Ends by an error only. */
export async function* follow(url: string, headers: Record<string, string> = {}): AsyncGenerator<Frame> {
  let lastId: string | undefined;
  let pauseMs = 1000;
  for (;;) {
    try {
      const place: Record<string, string> = lastId === undefined ? {} : { "Last-Event-ID": lastId };
      for await (const event of read(url, { ...headers, ...place })) {
        if (event.retry !== undefined) pauseMs = Number(event.retry);
        if (event.id !== undefined) lastId = event.id;
        if (event.data === undefined) continue;
        if (event.event === "close") break; // the next request is told why, if there is nothing more
        const frame = JSON.parse(event.data) as Frame & { resumed?: boolean };
        if (!frame.resumed) yield frame;
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
      console.error(`cut off: ${String(error)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

type Block = { data?: string; id?: string; event?: string; retry?: string };

/** Yields the blocks of one connection. A block that did not come whole is dropped. */
async function* read(url: string, headers: Record<string, string>): AsyncGenerator<Block> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await fetch(url, { headers, signal: silence.signal });
    if (response.status >= 400 && response.status < 500 && response.status !== 429) {
      throw new Refused(await response.text());
    }
    if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      timer.refresh();
      const blocks = (text + chunk).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line)?.slice(1, 3));
        yield Object.fromEntries(fields.filter((field) => field !== undefined)) as Block;
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
