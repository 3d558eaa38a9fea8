import type { NextApiRequest, NextApiResponse } from "next";
import NextAuth from "next-auth";

// The provider is next-auth/providers/github, set up in lib/auth.
import { authOptions } from "../../../lib/auth";
import { isOn } from "../../../lib/flags";

export default async function handler(request: NextApiRequest, response: NextApiResponse): Promise<void> {
  if (!(await isOn("github-login"))) {
    response.status(404).json({ error: "not found" });
    return;
  }
  await NextAuth(request, response, authOptions());
}
