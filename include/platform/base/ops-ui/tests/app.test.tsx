import { render, screen } from "@testing-library/react";
import type { AppProps } from "next/app";

import App from "../pages/_app";

test("a page is shown in the application", () => {
  const props = { Component: () => <p>the page</p>, pageProps: {} } as unknown as AppProps;
  render(<App {...props} />);
  expect(screen.getByText("the page")).toBeInTheDocument();
});
