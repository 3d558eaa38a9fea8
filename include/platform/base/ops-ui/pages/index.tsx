import type { GetServerSideProps, InferGetServerSidePropsType } from "next";

import { asAmount, asMoney } from "../lib/format";
import { VERSION } from "../lib/identity";
import { type Overview, readOverview } from "../lib/platform";

interface Props {
  /** null when the api could not be asked. */
  overview: Overview | null;
  version: string;
}

export const getServerSideProps: GetServerSideProps<Props> = async ({ res }) => {
  try {
    return { props: { overview: await readOverview(process.env.API_URL ?? ""), version: VERSION } };
  } catch {
    res.statusCode = 502;
    return { props: { overview: null, version: VERSION } };
  }
};

export default function Index({ overview, version }: InferGetServerSidePropsType<typeof getServerSideProps>) {
  return (
    <main>
      <header>
        <h1>Top Tier Trading</h1>
        <span className="version">{version}</span>
      </header>
      {overview ? <Dashboard overview={overview} /> : <p role="alert">The api does not answer.</p>}
    </main>
  );
}

function Dashboard({ overview }: { overview: Overview }) {
  const { positions, risk } = overview;
  return (
    <>
      <section className="figures">
        <Figure label="Realised PnL" value={asMoney(risk.pnl)} />
        <Figure label="Kill switch" value={risk.kill_switch ? "ON" : "off"} isAlarming={risk.kill_switch} />
      </section>
      <section>
        <h2>Positions</h2>
        <table>
          <thead>
            <tr>
              <th>Symbol</th>
              <th>Quantity</th>
              <th>Exposure</th>
            </tr>
          </thead>
          <tbody>
            {positions.map((position) => (
              <tr key={position.symbol}>
                <td>{position.symbol}</td>
                <td>{asAmount(position.quantity)}</td>
                <td>{asMoney(position.exposure)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {positions.length === 0 && <p>No positions yet.</p>}
      </section>
    </>
  );
}

function Figure({ label, value, isAlarming = false }: { label: string; value: string; isAlarming?: boolean }) {
  return (
    <div className={isAlarming ? "figure alarming" : "figure"}>
      <span>{label}</span>
      <strong>{value}</strong>
    </div>
  );
}
