const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const amount = new Intl.NumberFormat("en-US", { maximumFractionDigits: 8 });

export const asMoney = (value: number): string => money.format(value);
export const asAmount = (value: number): string => amount.format(value);
