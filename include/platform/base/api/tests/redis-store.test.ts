import { parseOrder, placeOrder } from "../src/orders";
import { patiently, UnreachableError } from "../src/patience";
import { RedisStore } from "../src/store";
import { ORDER } from "./memory-store";
import { isRedisInstalled, RedisServer } from "./redis-server";

const withRedis = isRedisInstalled() ? describe : describe.skip;

withRedis("with a real Redis", () => {
  const server = new RedisServer();
  let store: RedisStore;

  beforeAll(async () => {
    await server.start();
    store = new RedisStore(server.url, () => undefined);
    await patiently(() => store.ping());
  });
  afterAll(async () => {
    store.close();
    await server.remove();
  });

  test("pages of a stream go from the newest to the oldest", async () => {
    for (const number of ["1", "2", "3"]) await store.append("fills", { number });
    const [newest, next] = await store.newest("fills", 2);
    expect([newest?.message, next?.message]).toEqual([{ number: "3" }, { number: "2" }]);
    const older = await store.newest("fills", 2, next?.id);
    expect(older.map((entry) => entry.message)).toEqual([{ number: "1" }]);
  });

  test("a refusal of Redis is not taken for an outage", async () => {
    await expect(store.append("fills", {})).rejects.not.toBeInstanceOf(UnreachableError);
  });

  test("an order that is placed while Redis is started again is written once", async () => {
    await server.kill();
    await expect(store.ping()).rejects.toBeInstanceOf(UnreachableError);
    const placed = placeOrder(store, parseOrder(ORDER), new Date());
    await server.start();
    await placed;
    expect(await store.newest("orders", 10)).toHaveLength(1);
  });
});
