// Evaluated in the page by contrast.py, with the element of a view.
view => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    // The canvas knows every way of writing a colour.
    const parse = text => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = text;
        context.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    };
    const over = ([r, g, b, alpha], below) =>
        [r, g, b].map((value, i) => value * alpha + below[i] * (1 - alpha)).concat(1);
    const luminance = ([r, g, b]) => {
        const [red, green, blue] = [r, g, b].map(value => {
            value /= 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ratio = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    const behind = element => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            layers.unshift(colour);
            if (colour[3] === 1) break;
        }
        return layers.reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };
    const opacity = element => {
        let product = 1;
        for (let at = element; at; at = at.parentElement) product *= Number(getComputedStyle(at).opacity);
        return product;
    };
    const digits = value => Math.round(value).toString(16).padStart(2, '0');
    const hex = colour => '#' + colour.slice(0, 3).map(digits).join('');
    const measured = (what, colour, background, size, bold) =>
        ({what, colour: hex(colour), background: hex(background), ratio: ratio(colour, background), size, bold});

    const texts = [], parts = [];
    for (const element of [view, ...view.querySelectorAll('*')]) {
        const own = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE)
            .map(node => node.textContent.trim()).join(' ').trim();
        const shown = element.checkVisibility({visibilityProperty: true}) && element.getBoundingClientRect().width > 0;
        if (!own || !shown || element.matches(':disabled')) continue;
        const style = getComputedStyle(element), background = behind(element);
        const [r, g, b, alpha] = parse(style.color);
        const colour = over([r, g, b, alpha * opacity(element)], background);
        texts.push(measured(own, colour, background, parseFloat(style.fontSize), Number(style.fontWeight) >= 700));
    }
    for (const bar of view.querySelectorAll('[role=progressbar]')) {
        const background = behind(bar);
        for (const part of bar.querySelectorAll('*')) {
            const style = getComputedStyle(part);
            if (!part.getBoundingClientRect().width) continue;
            // A fill, a line of a pattern, or a border: one of them has to stand out.
            const pattern = style.backgroundImage.match(/(rgba?|hsla?|color|okl\w+)\([^()]*\)/g) ?? [];
            const drawn = [style.backgroundColor, ...pattern];
            for (const side of ['Top', 'Right', 'Bottom', 'Left'])
                if (style[`border${side}Style`] !== 'none' && parseFloat(style[`border${side}Width`]) > 0)
                    drawn.push(style[`border${side}Color`]);
            const found = drawn.map(text => {
                const [r, g, b, alpha] = parse(text);
                const colour = over([r, g, b, alpha * opacity(part)], background);
                return measured(part.title || part.className, colour, background, 0, false);
            });
            parts.push(found.reduce((best, one) => one.ratio > best.ratio ? one : best));
        }
    }
    return {texts, parts};
}
