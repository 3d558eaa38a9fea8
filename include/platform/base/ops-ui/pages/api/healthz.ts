import type { NextApiRequest, NextApiResponse } from "next";

import { SERVICE, VERSION } from "../../lib/identity";

export default function handler(_request: NextApiRequest, response: NextApiResponse) {
  response.status(200).json({ status: "ok", service: SERVICE, version: VERSION });
}
